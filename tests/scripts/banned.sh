#!/usr/bin/env bash
# scripts/banned accepts the tree and finds each kind of refused function and word.
. "$(dirname "$0")/planted.sh"
planted=$tree/src/base/planted.c

passes "the tree as it is" "$tree/scripts/banned"
for call in 'strcpy(a, b)' 'x = atoi(a)' 'sprintf (a, "x")' 'y+=rand()' 'strtok(a, b)'; do
	echo "void f(void) { $call; }" >"$planted"
	refuses "$call" "src/base/planted.c line 1: a function without a bound or an error" "$tree/scripts/banned"
done
for call in 'exit(1)' 'abort()'; do
	echo "void f(void) { $call; }" >"$planted"
	refuses "$call" "only cli may end the program" "$tree/scripts/banned"
done
for call in 'printf("x")' 'fputs("x", stdout)' 'puts("x")'; do
	echo "void f(void) { $call; }" >"$planted"
	refuses "$call" "only cli may print" "$tree/scripts/banned"
done
for word in TODO FIXME XXX HACK; do
	echo "// $word later" >"$planted"
	refuses "$word" "a word that marks unfinished work" "$tree/scripts/banned"
done
echo 'void f(void) { snprintf(a, 1, "x"); strtok_r(a, b, c); _exit(1); operand(1); fprintf(stderr, "x"); mkstemp("XXXXXX"); }' >"$planted"
passes "their bounded relatives" "$tree/scripts/banned"
mv "$planted" "$tree/src/cli/planted.c"
echo 'void f(void) { printf("x"); exit(1); }' >"$tree/src/cli/planted.c"
passes "printing in cli" "$tree/scripts/banned"
exit $failed
