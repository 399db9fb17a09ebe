# Sourced by the tests of scripts/: a copy of the tree's sources in $tree, in which a fault is planted, and two checks.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
tree=$(mktemp -d) || exit 2
trap 'rm -rf "$tree"' EXIT
mkdir "$tree/tests"
cp -r src scripts Makefile "$tree/" || exit 2
[ -d include ] && cp -r include "$tree/"
failed=0

passes() { # passes WHAT COMMAND...
	local what=$1 text
	shift
	text=$("$@" 2>&1) || { echo "FAIL $what: expected to pass, said: $text"; failed=1; return; }
	echo "ok   $what"
}

refuses() { # refuses WHAT SENTENCE COMMAND...
	local what=$1 sentence=$2 text
	shift 2
	if text=$("$@" 2>&1); then
		echo "FAIL $what: expected a refusal"
		failed=1
	elif ! grep -qF -- "$sentence" <<<"$text"; then
		echo "FAIL $what: expected \"$sentence\", said: $text"
		failed=1
	else
		echo "ok   $what"
	fi
}
