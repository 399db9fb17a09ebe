// Format: see format.h. The C library's printf locks, allocates and asks for the language of the user; texts of the
// wire need none of that. A new conversion: a case in put_conversion().
#include "base/format.h"
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct text {
	char *out;
	size_t cap, n; // n: of the whole text, also where it does not fit
};

static void put(struct text *t, const char *data, size_t n) {
	if (t->n < t->cap) {
		size_t room = t->cap - t->n;
		memcpy(t->out + t->n, data, n < room ? n : room);
	}
	t->n += n;
}

static void put_number(struct text *t, uint64_t value, bool is_negative) {
	char digits[24], *at = digits + sizeof digits;
	do
		*--at = (char)('0' + value % 10);
	while (value /= 10);
	if (is_negative)
		*--at = '-';
	put(t, at, (size_t)(digits + sizeof digits - at));
}

static void put_signed(struct text *t, int64_t value) {
	put_number(t, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0);
}

struct arguments { // va_list may be an array, which a function could not take by its address
	va_list list;
};

static void put_integer(struct text *t, char kind, int n_long, bool is_size, struct arguments *a) {
	if (kind == 'u')
		put_number(t,
		           is_size       ? va_arg(a->list, size_t)
		           : n_long == 2 ? va_arg(a->list, unsigned long long)
		           : n_long      ? va_arg(a->list, unsigned long)
		                         : va_arg(a->list, unsigned),
		           false);
	else
		put_signed(t, n_long == 2 ? va_arg(a->list, long long) : n_long ? va_arg(a->list, long) : va_arg(a->list, int));
}

static void put_string(struct text *t, const char *text, int most) {
	const char *shown = text ? text : "(null)";
	put(t, shown, most < 0 ? strlen(shown) : strnlen(shown, (size_t)most));
}

// The conversion behind a '%'; returns what follows it, NULL: it is none of these.
static const char *put_conversion(struct text *t, const char *p, struct arguments *a) {
	int n_long = 0, most = -1;
	bool is_size = *p == 'z';
	if (!strncmp(p, ".*s", 3)) {
		most = va_arg(a->list, int);
		p += 2;
	}
	for (; *p == 'l' && n_long < 2; p++)
		n_long++;
	p += is_size;
	bool is_integer = *p == 'u' || (*p == 'd' && !is_size);
	if ((n_long || is_size) && !is_integer)
		return NULL;
	if (is_integer) {
		put_integer(t, *p, n_long, is_size, a);
	} else if (*p == 's') {
		put_string(t, va_arg(a->list, const char *), most);
	} else if (*p == 'c') {
		put(t, &(char){(char)va_arg(a->list, int)}, 1);
	} else if (*p == '%') {
		put(t, p, 1);
	} else {
		return NULL;
	}
	return p + 1;
}

int tdm_format(char *out, size_t cap, const char *format, va_list args) {
	struct text t = {out, cap ? cap - 1 : 0, 0};
	struct arguments a;
	const char *p = format;
	va_copy(a.list, args);
	while (p && *p) {
		size_t n = strcspn(p, "%");
		put(&t, p, n);
		p += n;
		if (*p)
			p = put_conversion(&t, p + 1, &a);
	}
	va_end(a.list);
	if (!p || t.n > INT_MAX)
		return vsnprintf(out, cap, format, args);
	if (cap)
		out[t.n < cap ? t.n : cap - 1] = 0;
	return (int)t.n;
}

int tdm_print(char *out, size_t cap, const char *format, ...) {
	va_list args;
	va_start(args, format);
	int n = tdm_format(out, cap, format, args);
	va_end(args);
	return n;
}
