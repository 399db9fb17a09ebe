// Head: the strict reader of requests; see head.h.
#include "serve/head.h"
#include "base/text.h"
#include <string.h>
#include <strings.h>

static bool refuse(struct tdm_head *h, int status, const char *why) {
	h->refused = status;
	h->why = why;
	return false;
}

static bool is_token(unsigned char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

// --- where a head ends

// A CR or LF that does not belong to a line's end, or a NUL.
static bool is_stray(const char *text, size_t n, size_t i) {
	if (text[i] == '\n')
		return i == 0 || text[i - 1] != '\r';
	if (text[i] == '\r')
		return i + 1 < n && text[i + 1] != '\n';
	return text[i] == 0;
}

// What begins no request is refused before its end has come: a hello of TLS, or of the web's first year.
static bool check_first_line(struct tdm_head *h, const char *text, size_t n) {
	const char *end = memchr(text, '\n', n);
	if (!is_token((unsigned char)text[0]) && text[0] != '\r')
		return refuse(h, 400, "this is no HTTP request; the port speaks HTTP/1.1 without TLS");
	if (end && end - text > 1 && !memmem(text, (size_t)(end - text), " HTTP/", 6))
		return refuse(h, 400, "the request line names no version of HTTP");
	return true;
}

size_t tdm_head_find(struct tdm_head *h, const char *text, size_t n, size_t *from) {
	*h = (struct tdm_head){.host = ""};
	if (n && !check_first_line(h, text, n))
		return 0;
	for (size_t i = *from; i < n; i++) {
		if (is_stray(text, n, i)) {
			refuse(h, 400, "the head has a line that does not end with CR LF, or a NUL");
			return 0;
		}
		if (text[i] == '\n' && i >= 3 && text[i - 2] == '\n')
			return i + 1;
		if (i + 1 >= TDM_HEAD_BYTES) {
			refuse(h, 431, "the head of the request is larger than 16 KiB");
			return 0;
		}
	}
	*from = n ? n - 1 : 0; // the last byte is looked at again: what follows a CR matters
	return 0;
}

// --- the request line

static int hex_digit(char c) {
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Where the escapes decode to a control character or to no UTF-8, there is no such path: it stays as it is.
static void decode_path(char *path) {
	char plain[TDM_HEAD_BYTES];
	size_t n = 0;
	for (const char *p = path; *p; p++) {
		int high = *p == '%' ? hex_digit(p[1]) : -1, low = high < 0 ? -1 : hex_digit(p[2]);
		unsigned char c = low < 0 ? (unsigned char)*p : (unsigned char)(high << 4 | low);
		if (c < 0x20 || c == 0x7f)
			return;
		plain[n++] = (char)c;
		p += low < 0 ? 0 : 2;
	}
	if (!tdm_utf8_valid(plain, n))
		return;
	memcpy(path, plain, n);
	path[n] = 0;
}

// "/path?query", or "http://host/path", whose host counts, or "*".
static bool read_target(struct tdm_head *h, char *target) {
	if (!strncasecmp(target, "http://", 7)) {
		size_t n = strcspn(target + 7, "/?");
		memmove(target, target + 7, n); // the host, then the path
		h->host = target;
		char *path = target + 7 + n;
		if (*path != '/') {
			h->path = "/";
		} else {
			memmove(target + n + 1, path, strlen(path) + 1);
			h->path = target + n + 1;
		}
		target[n] = 0;
	} else if (*target != '/' && strcmp(target, "*") != 0) {
		return refuse(h, strcmp(h->method, "CONNECT") ? 400 : 405, "expected a path that begins with /");
	} else {
		h->path = target;
	}
	char *path = (char *)h->path;
	if (*path == '/' && path[1]) {
		size_t n = strcspn(path, "?#");
		h->query = path[n] == '?' ? path + n + 1 : NULL;
		path[n] = 0;
		decode_path(path);
	}
	return true;
}

// One byte of escaped text at *p, which moves behind it; a control character is none: 0.
static unsigned char unescape(const char **p) {
	int high = **p == '%' ? hex_digit((*p)[1]) : -1, low = high < 0 ? -1 : hex_digit((*p)[2]);
	unsigned char c = low < 0 ? (unsigned char)**p : (unsigned char)(high << 4 | low);
	*p += low < 0 ? 1 : 3;
	return c < 0x20 || c == 0x7f ? 0 : c;
}

bool tdm_head_query(const struct tdm_head *h, const char *name, char *out, size_t cap) {
	size_t n = 0, n_name = strlen(name);
	const char *p = h->query;
	while (p && (strncmp(p, name, n_name) != 0 || p[n_name] != '=')) {
		p = strpbrk(p, "&#");
		p = p && *p == '&' ? p + 1 : NULL;
	}
	if (!p)
		return false;
	for (p += n_name + 1; !strchr("&#", *p); n++) { // strchr finds the end too
		unsigned char c = unescape(&p);
		if (!c || n + 1 >= cap)
			return false;
		out[n] = (char)c;
	}
	out[n] = 0;
	return tdm_utf8_valid(out, n);
}

static bool read_request_line(struct tdm_head *h, char *line) {
	char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;
	if (!version || strchr(version + 1, ' '))
		return refuse(h, 400, "expected a request line of method, path and version");
	*target++ = *version++ = 0;
	h->method = line;
	for (const char *p = line; *p || p == line; p++)
		if (!is_token((unsigned char)*p) || p - line > 32)
			return refuse(h, 400, "the request has no method");
	for (const char *p = target; *p; p++)
		if ((unsigned char)*p <= 0x20 || *p == 0x7f)
			return refuse(h, 400, "the path has a control character");
	if (strncmp(version, "HTTP/", 5) != 0)
		return refuse(h, 400, "the request line names no version of HTTP");
	h->is_11 = !strcmp(version, "HTTP/1.1");
	if (!h->is_11 && strcmp(version, "HTTP/1.0") != 0)
		return refuse(h, 505, "expected HTTP/1.1 or HTTP/1.0");
	return read_target(h, target);
}

// --- the fields

static char *trim(char *value) {
	value += strspn(value, " \t");
	char *end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = 0;
	return value;
}

static bool read_field(struct tdm_head *h, char *line) {
	char *colon = strchr(line, ':');
	if (*line == ' ' || *line == '\t')
		return refuse(h, 400, "a header line is folded");
	if (!colon || colon == line)
		return refuse(h, 400, "a header line has no name");
	for (const char *p = line; p < colon; p++)
		if (!is_token((unsigned char)*p))
			return refuse(h, 400, "a header's name has a character that no name has");
	if (h->n_fields == TDM_HEAD_FIELDS)
		return refuse(h, 431, "the request has more than 100 headers");
	*colon = 0;
	char *value = trim(colon + 1);
	for (const char *p = value; *p; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return refuse(h, 400, "a header has a control character");
	h->fields[h->n_fields++] = (struct tdm_head_field){line, value};
	return true;
}

const char *tdm_head_value(const struct tdm_head *h, const char *name) {
	for (size_t i = 0; i < h->n_fields; i++)
		if ((*h->fields[i].name | 0x20) == (*name | 0x20) && !strcasecmp(h->fields[i].name, name))
			return h->fields[i].value;
	return NULL;
}

static bool read_length(struct tdm_head *h, const char *value) {
	size_t n = strspn(value, "0123456789");
	if (h->has_length)
		return refuse(h, 400, "the request has two lengths");
	if (!n || value[n] || n > 18)
		return refuse(h, 400, "content-length: expected a number of bytes");
	h->has_length = true;
	for (; *value; value++)
		h->length = h->length * 10 + (uint64_t)(*value - '0');
	return true;
}

static bool read_coding(struct tdm_head *h, const char *value) {
	if (h->chunked || strcasecmp(value, "chunked") != 0)
		return refuse(h, 400, "transfer-encoding: expected chunked, once");
	h->chunked = true;
	return h->is_11 || refuse(h, 400, "transfer-encoding is no part of HTTP/1.0");
}

static bool read_host(struct tdm_head *h, const char *value, bool *has_host) {
	if (*has_host)
		return refuse(h, 400, "the request has two hosts");
	*has_host = true;
	if (!*h->host) // that of an absolute target counts
		h->host = value;
	return true;
}

static bool names(const char *list, const char *word) { // a list with commas
	for (size_t n = strlen(word); list && *list; list += strcspn(list, ","), list += *list == ',') {
		list += strspn(list, " \t");
		if (!strncasecmp(list, word, n) && strchr(", \t", list[n]))
			return true;
	}
	return false;
}

static void read_wishes(struct tdm_head *h, const char *name, const char *value) {
	if (!strcasecmp(name, "expect"))
		h->wants_continue = h->is_11 && !strcasecmp(value, "100-continue");
	else if (!strcasecmp(name, "connection"))
		h->keep_alive = h->is_11 ? h->keep_alive && !names(value, "close") : names(value, "keep-alive");
}

// What says where the request ends, and what becomes of the connection.
static bool read_meaning(struct tdm_head *h) {
	bool ok = true, has_host = false;
	h->keep_alive = h->is_11;
	for (size_t i = 0; ok && i < h->n_fields; i++) {
		const char *name = h->fields[i].name, *value = h->fields[i].value;
		if (!strcasecmp(name, "content-length"))
			ok = read_length(h, value);
		else if (!strcasecmp(name, "transfer-encoding"))
			ok = read_coding(h, value);
		else if (!strcasecmp(name, "host"))
			ok = read_host(h, value, &has_host);
		else
			read_wishes(h, name, value);
	}
	if (ok && h->chunked && h->has_length)
		return refuse(h, 400, "the request has a length and chunks");
	if (ok && h->is_11 && !has_host)
		return refuse(h, 400, "the request names no host");
	return ok;
}

bool tdm_head_read(struct tdm_head *h, char *text, size_t n) {
	char *end = text + n - 2, *next;
	*h = (struct tdm_head){.host = ""};
	bool ok = true, first = true;
	for (char *line = text; ok && line < end; line = next + 2) {
		next = memchr(line, '\r', (size_t)(end - line + 1));
		*next = 0;
		if (!first)
			ok = read_field(h, line);
		else if (*line) // an empty line before the request is left out
			ok = read_request_line(h, line);
		first &= !*line && line == text;
	}
	if (ok && !h->method)
		return refuse(h, 400, "the request is empty");
	return ok && read_meaning(h);
}
