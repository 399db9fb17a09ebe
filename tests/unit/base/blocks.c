// Blocks: a thread that keeps them gets its own again, whoever gave them back; others get malloc's.
#include "tests.h"
#include "base/arena.h"
#include "base/blocks.h"
#include "base/bytes.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void sizes_are_rounded_up(void **state) {
	assert_int_equal(tdm_block_round(0), 512);
	assert_int_equal(tdm_block_round(512), 512);
	assert_int_equal(tdm_block_round(513), 1024);
	assert_int_equal(tdm_block_round(4097), 8192);
	assert_int_equal(tdm_block_round(32768), 32768);
	assert_int_equal(tdm_block_round(32769), 32769);
}

// More of every size, and of sizes between, than a thread keeps.
static void use_many(void) {
	void *blocks[64];
	for (size_t size = 256; size <= 65536; size += size / 2) {
		for (size_t i = 0; i < 64; i++) {
			blocks[i] = tdm_block_take(size);
			assert_non_null(blocks[i]);
			memset(blocks[i], 0x5A, size);
		}
		for (size_t i = 0; i < 64; i++)
			tdm_block_give(blocks[i], size);
	}
	tdm_block_give(NULL, 512);
}

static void any_number_may_be_taken_and_given(void **state) {
	use_many();
	tdm_blocks_keep();
	use_many();
	use_many();
	tdm_blocks_free();
	tdm_blocks_free();
	use_many();
}

// What was given back is dirty: nobody may take that for zeroes.
static void memory_of_an_arena_is_zeroed_all_the_same(void **state) {
	tdm_blocks_keep();
	use_many();
	for (int round = 0; round < 3; round++) {
		struct tdm_arena arena;
		tdm_arena_init(&arena, 1 << 20);
		for (size_t n = 1; n < 40000; n = n * 3 + 1) {
			unsigned char *data = tdm_arena_alloc(&arena, n);
			assert_non_null(data);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(data[i], 0);
			memset(data, 0xA5, n);
		}
		tdm_arena_release(&arena);
	}
	tdm_blocks_free();
}

static void *release_elsewhere(void *arg) {
	struct tdm_bytes *all = arg;
	tdm_blocks_keep();
	for (size_t i = 0; i < 100; i++)
		tdm_bytes_release(&all[i]);
	tdm_blocks_free();
	return NULL;
}

static void a_buffer_may_be_released_on_another_thread(void **state) {
	static struct tdm_bytes all[100];
	tdm_blocks_keep();
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 100; i++) {
			tdm_bytes_init(&all[i], 1 << 20);
			for (size_t k = 0; k < i * 9; k++)
				tdm_bytes_add(&all[i], "seven b", 7);
			assert_int_equal(all[i].len, i * 63);
			for (size_t k = 0; k < all[i].len; k += 7)
				assert_memory_equal(all[i].data + k, "seven b", 7);
		}
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, release_elsewhere, all), 0);
		pthread_join(thread, NULL);
	}
	tdm_blocks_free();
}

static void room_is_filled_by_its_user(void **state) {
	struct tdm_bytes b;
	tdm_bytes_init(&b, 1000);
	memcpy(tdm_bytes_room(&b, 600), "abc", 3);
	tdm_bytes_took(&b, 3);
	assert_string_equal(b.data, "abc");
	assert_int_equal(b.len, 3);
	assert_null(tdm_bytes_room(&b, 998)); // the limit holds
	assert_true(b.failed);
	tdm_bytes_took(&b, 0);
	assert_int_equal(b.len, 3);
	tdm_bytes_release(&b);
}

int tdm_test_blocks(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sizes_are_rounded_up),
	    cmocka_unit_test(any_number_may_be_taken_and_given),
	    cmocka_unit_test(memory_of_an_arena_is_zeroed_all_the_same),
	    cmocka_unit_test(a_buffer_may_be_released_on_another_thread),
	    cmocka_unit_test(room_is_filled_by_its_user),
	};
	return cmocka_run_group_tests_name("blocks", tests, NULL, NULL);
}
