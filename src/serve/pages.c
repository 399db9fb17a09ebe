// Pages: the playground and the admin page, from the bytes inside the program.
//
// The rule it protects: a page loads nothing but its own files, runs no script and no style that is written into it,
// and sits in nobody's frame; the headers say so to the browser. A page is no secret: what it shows comes from paths
// that ask for a key. A new file: a row in pages_files.h.
#include "base/crypto.h"
#include "serve/pages_files.h"
#include "serve/server_parts.h"
#include <stdio.h>
#include <string.h>

#define HTML "text/html; charset=utf-8"
#define CSS "text/css; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"
#define SVG "image/svg+xml"

#define DECLARE(symbol, path, file, type) extern const char tdm_page_##symbol[], tdm_page_##symbol##_end[];
TDM_PAGES(DECLARE)

struct page {
	const char *path, *type, *data, *end;
};
static const struct page pages[] = {
#define ROW(symbol, path, file, type) {path, type, tdm_page_##symbol, tdm_page_##symbol##_end},
    TDM_PAGES(ROW)};

static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                             "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
                             "require-trusted-types-for 'script'; trusted-types 'none'";

static const struct {
	const char *name, *value;
} headers[] = {
    {"content-security-policy", policy},
    {"x-content-type-options", "nosniff"},
    {"x-frame-options", "DENY"},
    {"referrer-policy", "no-referrer"},
    {"cross-origin-opener-policy", "same-origin"},
    {"cross-origin-resource-policy", "same-origin"},
    {"permissions-policy", "camera=(), geolocation=(), microphone=()"},
    {"cache-control", "no-cache"}, // kept, and asked for again with its tag
};

static const struct page *find_page(const char *path) {
	size_t n = strlen(path);
	if (n > 1 && path[n - 1] == '/')
		n--;
	for (size_t i = 0; i < TDM_COUNT(pages); i++)
		if (strlen(pages[i].path) == n && !memcmp(pages[i].path, path, n))
			return &pages[i];
	return NULL;
}

static void make_tag(const struct page *page, char out[24]) {
	uint8_t hash[TDM_SHA256_BYTES];
	char hex[17];
	tdm_sha256(page->data, (size_t)(page->end - page->data), hash);
	tdm_hex(hash, 8, hex);
	snprintf(out, 24, "\"%s\"", hex);
}

void tdm_handle_page(struct tdm_call_context *c) {
	const struct page *page = find_page(tdm_exchange_path(c->x)); // as it was asked for: pages are not under /v1
	char tag[24];
	if (!page) {
		tdm_fail(&c->error, TDM_EPATH, "there is no path %s here", tdm_exchange_path(c->x));
		tdm_reply_error(c, NULL);
		return;
	}
	make_tag(page, tag);
	for (size_t i = 0; i < TDM_COUNT(headers); i++)
		tdm_exchange_set(c->x, headers[i].name, headers[i].value);
	tdm_exchange_set(c->x, "etag", tag);
	const char *known = tdm_exchange_header(c->x, "if-none-match");
	bool same = known && strstr(known, tag);
	tdm_exchange_reply(c->x, same ? 304 : 200, page->type, page->data, same ? 0 : (size_t)(page->end - page->data));
}

void tdm_handle_page_file(struct tdm_call_context *c, const char *id) {
	tdm_handle_page(c);
}
