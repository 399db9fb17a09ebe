// The groups of a unit test's binary: all of them, or a share, so that a long binary keeps several cores busy.
// unit-engine 2/4 runs every fourth group from the second; the shares 1/4 to 4/4 together run each group once. The
// Makefile's SHARES_MODULE says into how many runs a module is cut.
#pragma once
#include <stdio.h>
#include <stdlib.h>

static int run_groups(int argc, char **argv, int (*const groups[])(void), int n_groups) {
	int share = 1, n_shares = 1, end = 0, n_failed = 0;
	if (argc > 1 && (argc > 2 || sscanf(argv[1], "%d/%d%n", &share, &n_shares, &end) != 2 || argv[1][end] ||
	                 share < 1 || share > n_shares || n_shares > n_groups)) {
		fprintf(stderr, "%s: expected a share such as 1/2 of %d groups\n", argv[0], n_groups);
		return 2;
	}
	for (int i = share - 1; i < n_groups; i += n_shares)
		n_failed += groups[i]();
	return n_failed != 0;
}

#define GROUPS_MAIN(...)                                                              \
	int main(int argc, char **argv) {                                                 \
		static int (*const groups[])(void) = {__VA_ARGS__};                           \
		return run_groups(argc, argv, groups, (int)(sizeof groups / sizeof *groups)); \
	}
