// Http: libcurl's easy handles, each with a multi handle of its own, so that a call can be watched while it waits.
//
// Connections are kept in a stack under `lock`; one is used by one call at a time, and thrown away unless its answer
// was read to the end. A call that is stopped closes its connection within TDM_HTTP_POLL_MS. libcurl is loaded for the
// first upstream that needs it: with the libraries behind it, it would be most of the start of a gateway that does not.
#include "models/remote/http.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/library.h"
#include "base/loop.h"
#include "base/status.h"
#include "models/remote/plain.h"
#define CURL_DISABLE_TYPECHECK // it names the functions themselves
#include <curl/curl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define CALLS(X)                \
	X(curl_easy_cleanup)        \
	X(curl_easy_getinfo)        \
	X(curl_easy_init)           \
	X(curl_easy_reset)          \
	X(curl_easy_setopt)         \
	X(curl_easy_strerror)       \
	X(curl_free)                \
	X(curl_global_init)         \
	X(curl_multi_add_handle)    \
	X(curl_multi_cleanup)       \
	X(curl_multi_info_read)     \
	X(curl_multi_init)          \
	X(curl_multi_perform)       \
	X(curl_multi_poll)          \
	X(curl_multi_remove_handle) \
	X(curl_url)                 \
	X(curl_url_cleanup)         \
	X(curl_url_get)             \
	X(curl_url_set)
TDM_LIBRARY(lib, TDM_SO_curl, CALLS);

#define N_IDLE_LIMIT 64
#define ADDRESS_US INT64_C(300000000) // how long the last good address of a name is used
#define HEADERS_LIMIT_BYTES ((size_t)64 << 10)
#define REFRESH_US 1000000 // how often it is looked at

struct line { // one connection
	CURLM *multi;
	CURL *easy;
	struct line *next;
};

struct tdm_http {
	struct tdm_http_options options;
	pthread_mutex_t lock; // guards the rest
	struct line *idle;
	int n_idle;
	char address[256]; // "HOST:PORT:ADDRESS" of the last connection; empty = none yet
	int64_t address_us;
	struct tdm_plain *plain; // NULL: not for this upstream
	bool has_plain;          // it was asked for
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static void start_curl(void) {
	lib.curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool need_curl(struct tdm_error *err) {
	if (tdm_library_load(&lib.library, err))
		return false;
	pthread_once(&curl_once, start_curl);
	return true;
}

// --- connections

static void line_free(struct line *line) {
	if (!line)
		return;
	lib.curl_easy_cleanup(line->easy);
	lib.curl_multi_cleanup(line->multi);
	free(line);
}

static struct line *line_new(void) {
	struct line *line = calloc(1, sizeof *line);
	if (!line)
		return NULL;
	line->multi = lib.curl_multi_init();
	line->easy = lib.curl_easy_init();
	if (line->multi && line->easy)
		return line;
	line_free(line);
	return NULL;
}

static struct line *line_take(struct tdm_http *h) {
	pthread_mutex_lock(&h->lock);
	struct line *line = h->idle;
	if (line) {
		h->idle = line->next;
		h->n_idle--;
	}
	pthread_mutex_unlock(&h->lock);
	return line ? line : line_new();
}

static void line_give(struct tdm_http *h, struct line *line) {
	pthread_mutex_lock(&h->lock);
	bool room = h->n_idle < N_IDLE_LIMIT;
	if (room) {
		line->next = h->idle;
		h->idle = line;
		h->n_idle++;
	}
	pthread_mutex_unlock(&h->lock);
	if (!room)
		line_free(line);
}

struct tdm_http *tdm_http_new(const struct tdm_http_options *options) {
	struct tdm_http *h = calloc(1, sizeof *h);
	if (!h)
		return NULL;
	h->options = *options;
	if (pthread_mutex_init(&h->lock, NULL) == 0)
		return h;
	free(h);
	return NULL;
}

void tdm_http_free(struct tdm_http *h) {
	if (!h)
		return;
	while (h->idle) {
		struct line *line = h->idle;
		h->idle = line->next;
		line_free(line);
	}
	tdm_plain_free(h->plain);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

// Lists of lines are made here: libcurl only reads them.
static struct curl_slist *line_of_text(const char *text) {
	struct curl_slist *line = calloc(1, sizeof *line);
	if (line && !(line->data = strdup(text))) {
		free(line);
		line = NULL;
	}
	return line;
}

static void lines_free(struct curl_slist *line) {
	while (line) {
		struct curl_slist *next = line->next;
		tdm_wipe(line->data, strlen(line->data));
		free(line->data);
		free(line);
		line = next;
	}
}

bool tdm_http_header(struct tdm_http_headers **list, const char *line) {
	struct curl_slist **end = (struct curl_slist **)list;
	while (*end)
		end = &(*end)->next;
	*end = line_of_text(line);
	return *end != NULL;
}

void tdm_http_headers_free(struct tdm_http_headers *list) {
	lines_free((struct curl_slist *)list);
}

// The parser that connects is the one that is asked here, so the two cannot disagree about the host; and the host that
// it finds must stand there as it is written.
static bool curl_takes(const char *url, char *host, size_t n) {
	static const CURLUPart never[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_QUERY,
	                                  CURLUPART_FRAGMENT};
	char *name = NULL, *port = NULL, *part = NULL;
	CURLU *parsed = lib.curl_url();
	const char *after = strstr(url, "://");
	bool ok = after && parsed && lib.curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
	          lib.curl_url_get(parsed, CURLUPART_HOST, &name, 0) == CURLUE_OK && *name &&
	          !strncmp(after + 3, name, strlen(name));
	for (size_t i = 0; ok && i < sizeof never / sizeof never[0]; i++)
		ok = lib.curl_url_get(parsed, never[i], &part, 0) != CURLUE_OK;
	if (ok) {
		bool has_port = lib.curl_url_get(parsed, CURLUPART_PORT, &port, 0) == CURLUE_OK;
		snprintf(host, n, "%s%s%s", name, has_port ? ":" : "", has_port ? port : "");
	}
	lib.curl_free(name);
	lib.curl_free(port);
	lib.curl_free(part);
	lib.curl_url_cleanup(parsed);
	return ok;
}

bool tdm_http_url_is_plain(const char *url, char *host, size_t n, struct tdm_error *err) {
	for (const char *c = url; *c; c++)
		if (strchr("\\@?#\177", *c) || (unsigned char)*c <= ' ')
			return false;
	return tdm_plain_host(url, host, n) || (need_curl(err) && curl_takes(url, host, n));
}

// --- addresses

static bool is_old(struct tdm_http *h, int64_t age_us) {
	pthread_mutex_lock(&h->lock);
	bool is = !h->address_us || tdm_now_us() - h->address_us > age_us;
	pthread_mutex_unlock(&h->lock);
	return is;
}

static void keep_address(struct tdm_http *h, const struct tdm_http_post *p, CURL *e) {
	char *address = NULL, *host = NULL;
	long port = 0;
	CURLU *parsed = lib.curl_url();
	lib.curl_easy_getinfo(e, CURLINFO_PRIMARY_IP, &address);
	lib.curl_easy_getinfo(e, CURLINFO_PRIMARY_PORT, &port);
	if (parsed && address && *address && lib.curl_url_set(parsed, CURLUPART_URL, p->url, 0) == CURLUE_OK &&
	    lib.curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
		pthread_mutex_lock(&h->lock);
		bool is_v6 = strchr(address, ':');
		snprintf(h->address, sizeof h->address, "%s:%ld:%s%s%s", host, port, is_v6 ? "[" : "", address,
		         is_v6 ? "]" : "");
		h->address_us = tdm_now_us();
		pthread_mutex_unlock(&h->lock);
	}
	lib.curl_free(host);
	lib.curl_url_cleanup(parsed);
}

// The last good address as curl wants it; NULL: none, or too old.
static struct curl_slist *last_address(struct tdm_http *h) {
	char address[sizeof h->address] = "";
	if (is_old(h, ADDRESS_US))
		return NULL;
	pthread_mutex_lock(&h->lock);
	memcpy(address, h->address, sizeof address);
	pthread_mutex_unlock(&h->lock);
	return *address ? line_of_text(address) : NULL;
}

// --- one call

struct call {
	struct curl_slist first; // of the headers
	struct tdm_http *http;
	struct tdm_http_post *post;
	struct line *line;
	struct curl_slist *address; // known: the name is not looked up
	CURLcode code;
	int stopped; // by bytes()
};

static void see_status(struct call *c) {
	long http = 0;
	lib.curl_easy_getinfo(c->line->easy, CURLINFO_RESPONSE_CODE, &http);
	c->post->http = http >= 200 ? (int)http : 0; // those below are no answers
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *arg) {
	struct call *c = arg;
	see_status(c);
	c->stopped = c->post->bytes(c->post->arg, bytes, size * n);
	return c->stopped ? CURL_WRITEFUNC_ERROR : size * n;
}

static const char *value_of(const char *line, size_t n, const char *name) {
	size_t length = strlen(name);
	return n > length && !strncasecmp(line, name, length) ? line + length : NULL;
}

// The three ways to write a date in a header (RFC 9110, 5.6.7); -1: none of them.
static time_t read_date(const char *text) {
	static const char *const formats[] = {"%a, %d %b %Y %T GMT", "%A, %d-%b-%y %T GMT", "%a %b %e %T %Y"};
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
		struct tm date = {0};
		const char *end = strptime(text, formats[i], &date);
		if (end && !end[strspn(end, " \t\r\n")])
			return timegm(&date);
	}
	return -1;
}

// retry-after-ms: milliseconds; retry-after: seconds, or a date. The first is the finer one and counts.
static void read_wait(struct tdm_http_post *p, const char *line, size_t n) {
	char text[64];
	const char *ms = value_of(line, n, "retry-after-ms:"), *s = value_of(line, n, "retry-after:");
	const char *value = ms ? ms : s;
	if (!value || (!ms && p->retry_after_ms))
		return;
	snprintf(text, sizeof text, "%.*s", (int)(line + n - value), value);
	double wait = strtod(text, NULL) * (ms ? 1 : 1000);
	time_t date = wait > 0 ? -1 : read_date(text + strspn(text, " \t"));
	if (date > 0)
		wait = ((double)date - (double)tdm_wall_us() / 1e6) * 1000;
	if (wait > 0)
		p->retry_after_ms = wait < 86400000 ? (int64_t)ceil(wait) : 86400000;
}

static void read_header(struct tdm_http_post *p, const char *line, size_t n) {
	const char *encoding = value_of(line, n, "content-encoding:");
	while (encoding && encoding < line + n && *encoding == ' ')
		encoding++;
	if (encoding && !value_of(encoding, (size_t)(line + n - encoding), "identity"))
		p->is_encoded = true;
	read_wait(p, line, n);
}

static size_t on_header(char *line, size_t size, size_t n, void *arg) {
	read_header(((struct call *)arg)->post, line, n);
	return n;
}

static void set_up(struct call *c) {
	const struct tdm_http_post *p = c->post;
	CURL *e = c->line->easy;
	lib.curl_easy_reset(e); // keeps the connections
	lib.curl_easy_setopt(e, CURLOPT_URL, p->url);
	lib.curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	lib.curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	c->first = (struct curl_slist){(char *)(uintptr_t)p->extra, (struct curl_slist *)(uintptr_t)p->headers};
	lib.curl_easy_setopt(e, CURLOPT_HTTPHEADER, p->extra ? &c->first : c->first.next);
	lib.curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->n);
	lib.curl_easy_setopt(e, CURLOPT_POSTFIELDS, p->body);
	lib.curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	lib.curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	lib.curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	lib.curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	lib.curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	lib.curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	if (c->http->options.ca)
		lib.curl_easy_setopt(e, CURLOPT_CAINFO, c->http->options.ca);
	lib.curl_easy_setopt(e, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1"); // an own server needs no proxy
	lib.curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)c->http->options.connect_ms);
	lib.curl_easy_setopt(e, CURLOPT_RESOLVE, c->address);
	lib.curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_bytes);
	lib.curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
	lib.curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	lib.curl_easy_setopt(e, CURLOPT_HEADERDATA, c);
}

static int wait_for_answer(struct call *c) {
	int running = 1, status = TDM_OK, n;
	tdm_loop_blocks();
	c->code = CURLE_FAILED_INIT;
	if (lib.curl_multi_add_handle(c->line->multi, c->line->easy) != CURLM_OK)
		return TDM_OK; // told by `code`
	while (running && !status) {
		if (lib.curl_multi_perform(c->line->multi, &running) != CURLM_OK)
			break;
		if (running && !(status = c->post->watch(c->post->arg)))
			lib.curl_multi_poll(c->line->multi, NULL, 0, TDM_HTTP_POLL_MS, NULL);
	}
	for (const CURLMsg *m; (m = lib.curl_multi_info_read(c->line->multi, &n));)
		c->code = m->data.result;
	see_status(c);
	if (c->code == CURLE_OK && is_old(c->http, REFRESH_US))
		keep_address(c->http, c->post, c->line->easy);
	return status;
}

static enum tdm_http_end end_of(const struct call *c, int status) {
	curl_off_t found_us = 0;
	if (status || c->stopped)
		return TDM_HTTP_STOPPED;
	if (c->code == CURLE_OPERATION_TIMEDOUT && c->line)
		lib.curl_easy_getinfo(c->line->easy, CURLINFO_NAMELOOKUP_TIME_T, &found_us);
	switch (c->code) {
	case CURLE_OK:
		return TDM_HTTP_WELL;
	case CURLE_COULDNT_RESOLVE_HOST:
		return TDM_HTTP_NO_HOST;
	case CURLE_COULDNT_CONNECT:
		return TDM_HTTP_REFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return found_us ? TDM_HTTP_SLOW : TDM_HTTP_NO_HOST;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CONNECT_ERROR:
		return TDM_HTTP_UNTRUSTED;
	default:
		return TDM_HTTP_BROKEN;
	}
}

static void judge(struct call *c, int status) {
	static const CURLcode codes[] = {CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST, CURLE_GOT_NOTHING,
	                                 CURLE_SEND_ERROR, CURLE_RECV_ERROR};
	struct tdm_http_post *p = c->post;
	p->end = end_of(c, status);
	p->why = lib.curl_easy_strerror(c->code);
	// Failures before the first byte of a request could be written.
	p->left = c->code != CURLE_COULDNT_CONNECT && c->code != CURLE_COULDNT_RESOLVE_HOST &&
	          c->code != CURLE_PEER_FAILED_VERIFICATION;
	p->may_repeat = false;
	for (size_t i = 0; !status && !p->http && i < sizeof codes / sizeof codes[0]; i++)
		p->may_repeat |= c->code == codes[i];
}

static int call_once(struct tdm_http *h, struct tdm_http_post *p, struct curl_slist *address) {
	struct call c = {.http = h, .post = p, .address = address};
	c.line = p->fresh || address ? line_new() : line_take(h);
	c.code = CURLE_OUT_OF_MEMORY;
	int status = TDM_OK;
	if (c.line) {
		set_up(&c);
		status = wait_for_answer(&c);
		lib.curl_multi_remove_handle(c.line->multi, c.line->easy); // closes a connection in use
	}
	judge(&c, status);
	if (c.line && p->end == TDM_HTTP_WELL && !address) // what is told as known is remembered for good
		line_give(h, c.line);
	else
		line_free(c.line);
	return status;
}

// --- without libcurl

static struct tdm_plain *plain_of(struct tdm_http *h, const char *url) {
	pthread_mutex_lock(&h->lock);
	if (!h->has_plain)
		h->plain = tdm_plain_new(url);
	h->has_plain = true;
	struct tdm_plain *plain = h->plain;
	pthread_mutex_unlock(&h->lock);
	return plain && tdm_plain_fits(plain, url) ? plain : NULL;
}

static int send_plain(struct tdm_http *h, struct tdm_plain *plain, struct tdm_http_post *p) {
	struct tdm_bytes head;
	tdm_bytes_init(&head, HEADERS_LIMIT_BYTES);
	for (const struct curl_slist *l = (const struct curl_slist *)p->headers; l; l = l->next) {
		size_t n = strlen(l->data);
		if (n && l->data[n - 1] != ':') { // a name alone tells curl to leave one out
			tdm_bytes_add(&head, l->data, n);
			tdm_bytes_add(&head, "\r\n", 2);
		}
	}
	struct tdm_plain_call call = {p, head.data ? head.data : "", head.len, h->options.connect_ms, read_header};
	int status = tdm_plain_send(plain, &call);
	if (head.data)
		tdm_wipe(head.data, head.len);
	tdm_bytes_release(&head);
	return status;
}

int tdm_http_send(struct tdm_http *h, struct tdm_http_post *p) {
	struct tdm_plain *plain = plain_of(h, p->url);
	if (plain)
		return send_plain(h, plain, p);
	if (!need_curl(NULL)) { // tdm_http_url_is_plain has said why
		p->end = TDM_HTTP_BROKEN;
		p->why = "libcurl cannot be loaded";
		return TDM_OK;
	}
	int status = call_once(h, p, NULL);
	struct curl_slist *address = p->end == TDM_HTTP_NO_HOST ? last_address(h) : NULL;
	if (address)
		status = call_once(h, p, address);
	lines_free(address);
	return status;
}
