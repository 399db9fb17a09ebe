#!/usr/bin/env bash
# scripts/budget accepts the tree and finds a function, a complexity and a file beyond the budget.
. "$(dirname "$0")/planted.sh"
planted=$tree/src/base/planted.c

# long_function LINES: a function of exactly that many lines
long_function() {
	echo 'int planted(int x)'
	echo '{'
	for ((i = 0; i < $1 - 4; i++)); do echo '	x++;'; done
	echo '	return x;'
	echo '}'
}

branches() { # branches N: complexity N + 1 on few lines
	echo 'int planted(int x)'
	echo '{'
	for ((i = 0; i < $1; i++)); do echo "	if (x == $i) x++;"; done
	echo '	return x;'
	echo '}'
}

passes "the tree as it is" "$tree/scripts/budget"
long_function 60 >"$planted"
passes "a function of 60 lines" "$tree/scripts/budget"
long_function 61 >"$planted"
refuses "a function of 61 lines" "src/base/planted.c line 1: planted has 61 lines, at most 60" "$tree/scripts/budget"
echo 'src/base/planted.c:planted one long table' >>"$tree/scripts/budget.allow"
passes "the same with an exception" "$tree/scripts/budget"
branches 14 >"$planted"
refuses "an exception that is not needed" "planted needs no exception" "$tree/scripts/budget"
sed -i '$d' "$tree/scripts/budget.allow"
passes "a function of complexity 15" "$tree/scripts/budget"
branches 15 >"$planted"
refuses "a function of complexity 16" "planted has complexity 16, at most 15" "$tree/scripts/budget"
yes '//' | head -801 >"$planted"
refuses "a file of 801 lines" "src/base/planted.c has 801 lines, at most 800" "$tree/scripts/budget"
rm "$planted"
yes '//' | head -201 >"$tree/src/base/planted.h"
refuses "a header of 201 lines" "src/base/planted.h has 201 lines, at most 200" "$tree/scripts/budget"
rm "$tree/src/base/planted.h"
yes '#if 1
#endif' | head -800 >"$planted"
refuses "too many #if" "fewer than 3 per 1000" "$tree/scripts/budget"
exit $failed
