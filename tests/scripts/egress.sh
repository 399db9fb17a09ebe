#!/usr/bin/env bash
# scripts/egress accepts the tree and finds a planted connection, a second sender, and a request that asks no chain.
. "$(dirname "$0")/planted.sh"

# An archive of one module with one object that calls what is named.
archive() { # archive MODULE OBJECT SYMBOL
	rm -rf "$tree/build" && mkdir -p "$tree/build/gcc"
	echo "int $3(void); int tdm_f(void); int tdm_f(void) { return $3(); }" | cc -x c -fno-builtin -c -o "$tree/$2.o" -
	ar rcs "$tree/build/gcc/lib$1.a" "$tree/$2.o"
}

archive models plain connect
passes "the one that connects" "$tree/scripts/egress"
archive cost cascade connect
refuses "a connection elsewhere" "cost/cascade.o refers to connect, which only models/plain may" "$tree/scripts/egress"
archive serve chat tdm_http_send
refuses "a second sender" "serve/chat.o refers to tdm_http_send" "$tree/scripts/egress"
archive privacy mask curl_easy_perform
refuses "the HTTP client linked" "privacy/mask.o refers to curl_easy_perform, which only none may" "$tree/scripts/egress"
archive trust guard popen
refuses "another program" "trust/guard.o refers to popen" "$tree/scripts/egress"
archive base file write
sed -i 's/e->scan(e, t->post.body/tdm_scan(e, t->post.body/' "$tree/src/models/remote/remote_send.c"
refuses "a request that asks no chain" "tdm_http_send before the egress chain was asked" "$tree/scripts/egress"
cp src/models/remote/remote_send.c "$tree/src/models/remote/remote_send.c"
echo 'static void again(struct transfer *t) { tdm_http_send(t->remote->http, &t->post); }' >>"$tree/src/models/remote/remote_send.c"
refuses "a request sent in another place" "calls tdm_http_send 2 times" "$tree/scripts/egress"
rm -r "$tree/build"
refuses "no build" "run make first" "$tree/scripts/egress"
exit $failed
