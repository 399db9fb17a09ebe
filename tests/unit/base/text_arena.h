// For tests of what reads texts into an arena: an arena and an error of its own for each test.
#pragma once
#include "tests.h"
#include "base/arena.h"
#include "base/status.h"

static struct tdm_arena arena;
static struct tdm_error err;

static int set_up(void **state) {
	tdm_arena_init(&arena, 1 << 24);
	tdm_error_clear(&err);
	return 0;
}

static int tear_down(void **state) {
	tdm_arena_release(&arena);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
