#!/usr/bin/env bash
# scripts/layers accepts the tree and finds a planted upward include, upward call and misplaced library.
. "$(dirname "$0")/planted.sh"

# Two archives of one function each stand for the build: base (calls what $1 names) and engine.
archives() {
	rm -rf "$tree/build" && mkdir -p "$tree/build/gcc"
	echo "int tdm_low(void); int $1(void); int tdm_low(void) { return $1(); }" | cc -x c -c -o "$tree/low.o" -
	echo 'int tdm_low(void); int tdm_high(void); int tdm_high(void) { return tdm_low(); }' | cc -x c -c -o "$tree/high.o" -
	ar rcs "$tree/build/gcc/libbase.a" "$tree/low.o"
	ar rcs "$tree/build/gcc/libengine.a" "$tree/high.o"
}

# with_line FILE LINE SENTENCE: plants the line, expects the sentence, takes the line out again
with_line() {
	local had=0
	[ -e "$tree/$1" ] && had=1 && cp "$tree/$1" "$tree/saved"
	mkdir -p "$(dirname "$tree/$1")"
	echo "$2" >>"$tree/$1"
	refuses "$2 in $1" "$3" "$tree/scripts/layers"
	if [ $had = 1 ]; then cp "$tree/saved" "$tree/$1"; else rm "$tree/$1"; fi
}

archives something_else
passes "the tree as it is" "$tree/scripts/layers"
with_line src/base/status.c '#include "engine/gguf.h"' "base includes engine/gguf.h, but may use only"
with_line src/cost/planted.c '#include "privacy/mask/mask.h"' "cost includes privacy/mask/mask.h, but may use only"
with_line src/engine/planted.h '#  include "serve/http.h"' "src/engine/planted.h line 1: engine includes serve/http.h"
with_line src/engine/planted.c '#include "gguf.h"' 'expected "MODULE/file.h"'
with_line src/cost/planted.c '#include <tandem.h>' "which only base, engine and cli may include"
with_line src/serve/planted.c '#include <yaml.h>' "includes yaml.h, which only src/base/yaml.c may include"
with_line src/privacy/planted.c '#include <openssl/evp.h>' "includes openssl/evp.h, which only src/base/crypto.c"
with_line tests/unit/base/planted.c '#include "models/model.h"' "base includes models/model.h, but may use only"
archives tdm_high
refuses "an upward call" "libbase.a calls tdm_high of engine, but may use only" "$tree/scripts/layers"
archives tdm_nowhere
refuses "a call to nothing" "libbase.a calls tdm_nowhere, which no module defines" "$tree/scripts/layers"
rm -r "$tree/build"
refuses "no build" "run make first" "$tree/scripts/layers"
exit $failed
