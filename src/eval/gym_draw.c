// Drawing of gym items: random choices, texts and keys that every family uses.
//
// The key decides the split: it is the hash of the canonical instance, and nothing else may be asked about it.
#include "eval/gym_draw.h"
#include "base/bytes.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int tdm_gym_range(struct tdm_gym_draw *draw, int low, int high) {
	return low + (int)tdm_rng_below(&draw->rng, (uint64_t)(high - low + 1));
}

bool tdm_gym_chance(struct tdm_gym_draw *draw, double p) {
	return tdm_rng_double(&draw->rng) < p;
}

static const char *kept(struct tdm_gym_draw *draw, const char *text) {
	if (!text)
		draw->failed = true;
	return text ? text : "";
}

const char *tdm_gym_text(struct tdm_gym_draw *draw, const char *format, ...) {
	char text[2048];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof text) {
		draw->failed = true;
		return "";
	}
	return kept(draw, tdm_arena_copy(draw->arena, text, (size_t)n));
}

const char *tdm_gym_fill(struct tdm_gym_draw *draw, const char *text, const char *names, ...) {
	char out[2048];
	size_t n = 0;
	for (const char *p = text; *p && n < sizeof out - 1; p++) {
		const char *name = p[0] == '{' && p[1] && p[2] == '}' ? strchr(names, p[1]) : NULL;
		if (!name) {
			out[n++] = *p;
			continue;
		}
		va_list args;
		va_start(args, names);
		const char *with = va_arg(args, const char *);
		for (const char *q = names; q < name; q++)
			with = va_arg(args, const char *);
		va_end(args);
		size_t len = strlen(with);
		if (n + len >= sizeof out)
			break;
		memcpy(out + n, with, len);
		n += len;
		p += 2;
	}
	return kept(draw, tdm_arena_copy(draw->arena, out, n));
}

uint64_t tdm_gym_hash(const char *text) {
	uint64_t h = 0xcbf29ce484222325u; // FNV-1a, then a finaliser: the low bits decide the split
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3u;
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 33;
}

bool tdm_gym_key_is_test(uint64_t key) {
	return key % TDM_GYM_TEST_ONE_IN == 0;
}

uint64_t tdm_gym_key(const char *text, bool test) {
	uint64_t h = tdm_gym_hash(text), rest = h % TDM_GYM_TEST_ONE_IN;
	return h - rest + (test ? 0 : 1 + h / TDM_GYM_TEST_ONE_IN % (TDM_GYM_TEST_ONE_IN - 1));
}

void tdm_gym_require(struct tdm_gym_draw *draw, struct tdm_gym_item *item, int n, ...) {
	const char **list = tdm_arena_array(draw->arena, (size_t)n, sizeof *list);
	if (!list) {
		draw->failed = true;
		return;
	}
	va_list args;
	va_start(args, n);
	for (int i = 0; i < n; i++)
		list[i] = va_arg(args, const char *);
	va_end(args);
	item->required = list;
	item->n_required = (size_t)n;
}

void tdm_gym_choose(struct tdm_gym_draw *draw, int *out, int n, int limit) {
	for (int i = 0; i < n; i++) {
		bool again;
		do {
			again = false;
			out[i] = tdm_gym_range(draw, 0, limit - 1);
			for (int k = 0; k < i; k++)
				again |= out[k] == out[i];
		} while (again);
	}
}
