// Reading GGUF: a weight file becomes a table of keys and a table of tensors that point into the mapping.
//
// The rule it protects: nothing in the file is believed. Every length is compared with the bytes that are left before
// it is used, every count with the fewest bytes its items can take before memory is asked for, every product is
// checked arithmetic; so memory stays within a small multiple of the file, whatever the file says.
// Everything is prepared when the file is opened; afterwards the structure is only read, from any thread.
// To read another tensor type: a row in the table of formats.c.
#include "engine/gguf.h"
#include "base/arena.h"
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weight files are little-endian and read in place");

enum value_type {
	V_U8,
	V_I8,
	V_U16,
	V_I16,
	V_U32,
	V_I32,
	V_F32,
	V_BOOL,
	V_STRING,
	V_ARRAY,
	V_U64,
	V_I64,
	V_F64,
	N_VALUE_TYPES
};
static const uint8_t value_bytes[N_VALUE_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

enum { MAX_KEY_BYTES = 65535, MAX_TENSOR_NAME_BYTES = 255, FEWEST_PAIR_BYTES = 13, FEWEST_INFO_BYTES = 33 };

struct pair {
	const char *key;
	size_t key_len;
	uint32_t type;          // of the value, or of the items of an array
	bool is_array;          //
	uint64_t n;             // items; bytes of a single string
	const void *data;       // scalar or items, aligned when they are 4 bytes wide
	const uint64_t *starts; // array of strings: place of each item's length field in the file
	size_t begin, end;      // in the file, key and value
};

struct tdm_gguf {
	struct tdm_arena arena;
	struct tdm_mapping mapping; // data NULL when the bytes are borrowed
	void *copy;                 // borrowed bytes that were not aligned
	const uint8_t *data;
	size_t n;
	struct pair *pairs; // in file order
	const struct pair **by_key;
	size_t n_pairs;
	struct tdm_tensor *tensors; // in file order
	const struct tdm_tensor **by_name;
	size_t n_tensors;
};

struct cursor {
	struct tdm_gguf *g;
	const char *file;
	size_t at;
	struct tdm_error *err;
};

// --- reading with bounds

#define fail(c, ...) tdm_fail((c)->err, TDM_EFORMAT, __VA_ARGS__)

// NULL when the file ends before; the error is set.
static const void *take(struct cursor *c, uint64_t n, const char *what) {
	if (n > c->g->n - c->at) {
		fail(c, "%s: the file ends at byte %zu inside %s, which starts at byte %zu and takes %llu bytes", c->file,
		     c->g->n, what, c->at, (unsigned long long)n);
		return NULL;
	}
	const void *p = c->g->data + c->at;
	c->at += n;
	return p;
}

static int take_number(struct cursor *c, const char *what, void *out, size_t bytes) {
	const void *p = take(c, bytes, what);
	if (!p)
		return TDM_EFORMAT;
	memcpy(out, p, bytes);
	return TDM_OK;
}

static int take_u32(struct cursor *c, const char *what, uint32_t *out) {
	*out = 0;
	return take_number(c, what, out, sizeof *out);
}

static int take_u64(struct cursor *c, const char *what, uint64_t *out) {
	*out = 0;
	return take_number(c, what, out, sizeof *out);
}

static int take_string(struct cursor *c, const char *what, const char **text, uint64_t *n) {
	int status = take_u64(c, what, n);
	*text = status == TDM_OK ? take(c, *n, what) : NULL;
	return *text ? TDM_OK : TDM_EFORMAT;
}

// A count is believed when that many of the smallest items fit into the rest of the file.
static int take_count(struct cursor *c, const char *what, uint64_t fewest_bytes, uint64_t *n) {
	int status = take_u64(c, what, n);
	if (status != TDM_OK)
		return status;
	if (*n > (c->g->n - c->at) / fewest_bytes)
		return fail(c, "%s: %s is %llu, more than the %zu bytes that follow can hold", c->file, what,
		            (unsigned long long)*n, c->g->n - c->at);
	return TDM_OK;
}

static void *reserve(struct cursor *c, uint64_t n, size_t item_bytes) {
	void *p = tdm_arena_array(&c->g->arena, n ? n : 1, item_bytes);
	if (!p)
		tdm_fail(c->err, TDM_ENOMEM, "%s: no memory for %llu entries of the file's header", c->file,
		         (unsigned long long)n);
	return p;
}

// Names come from the file and go into sentences: only printable characters, shortened.
static const char *shown(const char *name, size_t n, char out[64]) {
	size_t k = 0;
	for (; k < n && k < 63; k++)
		out[k] = name[k] >= ' ' && name[k] <= '~' ? name[k] : '?';
	out[k] = 0;
	return out;
}

// --- key-values

static int read_strings(struct cursor *c, struct pair *p) {
	uint64_t *starts = reserve(c, p->n, sizeof *starts);
	if (!starts)
		return TDM_ENOMEM;
	for (uint64_t i = 0; i < p->n; i++) {
		const char *text;
		uint64_t n;
		starts[i] = c->at;
		int status = take_string(c, "a string of an array", &text, &n);
		if (status != TDM_OK)
			return status;
	}
	p->starts = starts;
	return TDM_OK;
}

static int align_items(struct cursor *c, struct pair *p) {
	if (value_bytes[p->type] != 4 || (uintptr_t)p->data % alignof(float) == 0)
		return TDM_OK;
	void *copy = reserve(c, p->n, 4);
	if (!copy)
		return TDM_ENOMEM;
	memcpy(copy, p->data, p->n * 4);
	p->data = copy;
	return TDM_OK;
}

static int read_array(struct cursor *c, struct pair *p) {
	char name[64];
	int status = take_u32(c, "the item type of an array", &p->type);
	if (status != TDM_OK)
		return status;
	if (p->type >= N_VALUE_TYPES || p->type == V_ARRAY)
		return fail(c, "%s: key \"%s\" is an array of items of type %u; expected numbers, truth values or strings",
		            c->file, shown(p->key, p->key_len, name), p->type);
	uint64_t fewest = p->type == V_STRING ? 8 : value_bytes[p->type];
	status = take_count(c, "the length of an array", fewest, &p->n);
	if (status != TDM_OK)
		return status;
	if (p->type == V_STRING)
		return read_strings(c, p);
	p->data = take(c, p->n * fewest, "an array");
	return p->data ? align_items(c, p) : TDM_EFORMAT;
}

static int read_pair(struct cursor *c, struct pair *p) {
	char name[64];
	uint64_t n;
	int status = take_string(c, "a key", &p->key, &n);
	if (status == TDM_OK)
		status = take_u32(c, "the type of a value", &p->type);
	if (status != TDM_OK)
		return status;
	p->key_len = n;
	if (n == 0 || n > MAX_KEY_BYTES)
		return fail(c, "%s: a key of %llu bytes; expected 1 to %d", c->file, (unsigned long long)n, MAX_KEY_BYTES);
	if (p->type >= N_VALUE_TYPES)
		return fail(c, "%s: key \"%s\" has the unknown value type %u", c->file, shown(p->key, n, name), p->type);
	p->is_array = p->type == V_ARRAY;
	if (p->is_array)
		return read_array(c, p);
	if (p->type == V_STRING) {
		const char *text = NULL;
		status = take_string(c, "a string value", &text, &p->n);
		p->data = text;
		return status;
	}
	p->n = 1;
	p->data = take(c, value_bytes[p->type], "a value");
	return p->data ? TDM_OK : TDM_EFORMAT;
}

static int compare_keys(const void *a, const void *b) {
	const struct pair *x = *(const struct pair *const *)a, *y = *(const struct pair *const *)b;
	size_t n = x->key_len < y->key_len ? x->key_len : y->key_len;
	int order = memcmp(x->key, y->key, n);
	return order ? order : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

static int read_pairs(struct cursor *c, uint64_t n) {
	struct tdm_gguf *g = c->g;
	char name[64];
	g->pairs = reserve(c, n, sizeof *g->pairs);
	g->by_key = reserve(c, n, sizeof *g->by_key);
	if (!g->pairs || !g->by_key)
		return TDM_ENOMEM;
	for (; g->n_pairs < n; g->n_pairs++) {
		struct pair *p = &g->pairs[g->n_pairs];
		p->begin = c->at;
		int status = read_pair(c, p);
		if (status != TDM_OK)
			return status;
		p->end = c->at;
		g->by_key[g->n_pairs] = p;
	}
	qsort(g->by_key, n, sizeof *g->by_key, compare_keys);
	for (size_t i = 1; i < n; i++)
		if (compare_keys(&g->by_key[i - 1], &g->by_key[i]) == 0)
			return fail(c, "%s: key \"%s\" occurs twice", c->file,
			            shown(g->by_key[i]->key, g->by_key[i]->key_len, name));
	return TDM_OK;
}

static const struct pair *find_pair(const struct tdm_gguf *g, const char *key) {
	struct pair pair = {.key = key, .key_len = strlen(key)};
	const struct pair *wanted = &pair;
	const struct pair **found =
	    g->n_pairs ? bsearch(&wanted, g->by_key, g->n_pairs, sizeof *g->by_key, compare_keys) : NULL;
	return found ? *found : NULL;
}

// --- tensor infos

// Sets the bytes of a tensor whose dimensions are known.
static int measure(struct cursor *c, struct tdm_tensor *t, uint64_t n_elements) {
	const struct tdm_format *f = tdm_format_of(t->type);
	if (!f) {
		char known[256];
		size_t n = 0;
		for (uint32_t i = 0; i < tdm_n_formats; i++)
			n += (size_t)snprintf(known + n, sizeof known - n, "%s%s (%u)", i ? ", " : "", tdm_formats[i].name,
			                      tdm_formats[i].type);
		return fail(c, "%s: tensor %s has type %u; supported are %s", c->file, t->name, t->type, known);
	}
	if (t->dims[0] % f->per_block)
		return fail(c, "%s: tensor %s is %s, whose rows are multiples of %u elements, but its rows have %llu", c->file,
		            t->name, f->name, f->per_block, (unsigned long long)t->dims[0]);
	t->bytes = tdm_tensor_bytes(t->type, n_elements);
	if (!t->bytes)
		return fail(c, "%s: tensor %s has %llu elements, which is too large", c->file, t->name,
		            (unsigned long long)n_elements);
	return TDM_OK;
}

static int read_dims(struct cursor *c, struct tdm_tensor *t, uint64_t *n_elements) {
	int status = take_u32(c, "the number of dimensions of a tensor", &t->n_dims);
	if (status != TDM_OK)
		return status;
	if (t->n_dims < 1 || t->n_dims > 4)
		return fail(c, "%s: tensor %s has %u dimensions; expected 1 to 4", c->file, t->name, t->n_dims);
	*n_elements = 1;
	for (uint32_t i = 0; i < 4; i++)
		t->dims[i] = 1;
	for (uint32_t i = 0; i < t->n_dims; i++) {
		status = take_u64(c, "a dimension of a tensor", &t->dims[i]);
		if (status != TDM_OK)
			return status;
		if (t->dims[i] == 0 || __builtin_mul_overflow(*n_elements, t->dims[i], n_elements) || *n_elements > INT64_MAX)
			return fail(c, "%s: dimension %u of tensor %s is %llu, which is zero or makes the tensor too large",
			            c->file, i, t->name, (unsigned long long)t->dims[i]);
	}
	return TDM_OK;
}

static int read_name(struct cursor *c, struct tdm_tensor *t) {
	const char *text;
	uint64_t n;
	int status = take_string(c, "the name of a tensor", &text, &n);
	if (status != TDM_OK)
		return status;
	if (n == 0 || n > MAX_TENSOR_NAME_BYTES)
		return fail(c, "%s: a tensor name of %llu bytes; expected 1 to %d", c->file, (unsigned long long)n,
		            MAX_TENSOR_NAME_BYTES);
	for (uint64_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			return fail(c, "%s: a tensor name holds the byte 0x%02x; expected printable ASCII", c->file,
			            (unsigned char)text[i]);
	t->name = tdm_arena_copy(&c->g->arena, text, n);
	return t->name ? TDM_OK : tdm_fail(c->err, TDM_ENOMEM, "%s: no memory for the names of tensors", c->file);
}

// *offset: relative to the start of the data, which is known after the last info.
static int read_info(struct cursor *c, struct tdm_tensor *t, uint64_t *offset) {
	uint64_t n_elements = 0;
	int status = read_name(c, t);
	if (status == TDM_OK)
		status = read_dims(c, t, &n_elements);
	if (status == TDM_OK)
		status = take_u32(c, "the type of a tensor", &t->type);
	if (status == TDM_OK)
		status = take_u64(c, "the offset of a tensor", offset);
	if (status != TDM_OK)
		return status;
	return measure(c, t, n_elements);
}

static int compare_names(const void *a, const void *b) {
	const struct tdm_tensor *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

static int compare_places(const void *a, const void *b) {
	const struct tdm_tensor *const *x = a, *const *y = b;
	return ((*x)->data > (*y)->data) - ((*x)->data < (*y)->data);
}

static int check_apart(struct cursor *c) {
	struct tdm_gguf *g = c->g;
	qsort(g->by_name, g->n_tensors, sizeof *g->by_name, compare_places);
	for (size_t i = 1; i < g->n_tensors; i++) {
		const struct tdm_tensor *x = g->by_name[i - 1], *y = g->by_name[i];
		if ((const uint8_t *)x->data + x->bytes > (const uint8_t *)y->data)
			return fail(c, "%s: the data of tensors %s and %s overlap", c->file, x->name, y->name);
	}
	qsort(g->by_name, g->n_tensors, sizeof *g->by_name, compare_names);
	for (size_t i = 1; i < g->n_tensors; i++)
		if (strcmp(g->by_name[i - 1]->name, g->by_name[i]->name) == 0)
			return fail(c, "%s: tensor %s occurs twice", c->file, g->by_name[i]->name);
	return TDM_OK;
}

static int place(struct cursor *c, struct tdm_tensor *t, uint64_t offset, uint64_t start, uint64_t alignment) {
	if (offset % alignment)
		return fail(c, "%s: tensor %s is at offset %llu, not a multiple of the alignment %llu", c->file, t->name,
		            (unsigned long long)offset, (unsigned long long)alignment);
	if (start > c->g->n || offset > c->g->n - start || t->bytes > c->g->n - start - offset)
		return fail(c, "%s: tensor %s (%llu bytes at offset %llu) ends after the file (%zu bytes)", c->file, t->name,
		            (unsigned long long)t->bytes, (unsigned long long)offset, c->g->n);
	t->data = c->g->data + start + offset;
	return TDM_OK;
}

static int read_alignment(struct cursor *c, uint64_t *out) {
	*out = 32;
	if (!find_pair(c->g, "general.alignment"))
		return TDM_OK;
	if (!tdm_gguf_u64(c->g, "general.alignment", out) || *out < 8 || *out > 1 << 20 || (*out & (*out - 1)))
		return fail(c, "%s: general.alignment must be a power of two from 8 to 1048576", c->file);
	return TDM_OK;
}

static int read_tensors(struct cursor *c, uint64_t n) {
	struct tdm_gguf *g = c->g;
	uint64_t alignment, *offsets = reserve(c, n, sizeof *offsets);
	g->tensors = reserve(c, n, sizeof *g->tensors);
	g->by_name = reserve(c, n, sizeof *g->by_name);
	if (!offsets || !g->tensors || !g->by_name)
		return TDM_ENOMEM;
	int status = read_alignment(c, &alignment);
	for (uint64_t i = 0; i < n && status == TDM_OK; i++) {
		g->by_name[i] = &g->tensors[i];
		status = read_info(c, &g->tensors[i], &offsets[i]);
	}
	if (status != TDM_OK)
		return status;
	uint64_t start = (c->at + alignment - 1) / alignment * alignment;
	for (uint64_t i = 0; i < n && status == TDM_OK; i++)
		status = place(c, &g->tensors[i], offsets[i], start, alignment);
	g->n_tensors = n;
	return status == TDM_OK ? check_apart(c) : status;
}

// --- opening

static int check_version(struct cursor *c) {
	uint32_t version;
	int status = take_u32(c, "the version", &version);
	if (status != TDM_OK)
		return status;
	if (version == 2 || version == 3)
		return TDM_OK;
	uint32_t swapped = __builtin_bswap32(version);
	if (swapped >= 1 && swapped <= 3)
		return fail(c, "%s: a big-endian GGUF file; only little-endian files are read", c->file);
	return fail(c, "%s: GGUF version %u; supported are 2 and 3", c->file, version);
}

static int read_file(struct cursor *c) {
	uint64_t n_tensors, n_pairs = 0;
	const void *magic = take(c, 4, "the magic number");
	if (!magic)
		return TDM_EFORMAT;
	if (memcmp(magic, "GGUF", 4) != 0)
		return fail(c, "%s: not a GGUF file: it does not start with \"GGUF\"", c->file);
	int status = check_version(c);
	if (status == TDM_OK)
		status = take_count(c, "the number of tensors", FEWEST_INFO_BYTES, &n_tensors);
	if (status == TDM_OK)
		status = take_count(c, "the number of key-values", FEWEST_PAIR_BYTES, &n_pairs);
	if (status == TDM_OK)
		status = read_pairs(c, n_pairs);
	return status == TDM_OK ? read_tensors(c, n_tensors) : status;
}

static int parse(struct tdm_gguf *g, const char *name, struct tdm_gguf **out, struct tdm_error *err) {
	struct cursor c = {.g = g, .file = name, .err = err};
	// a pair of 13 bytes becomes a struct of some 64, a string of an array 8 more; names are copied
	tdm_arena_init(&g->arena, g->n > SIZE_MAX / 16 - 65536 ? SIZE_MAX : (g->n + 65536) * 16);
	int status = read_file(&c);
	if (tdm_map_changed(&g->mapping))
		status = tdm_gguf_whole(g, name, err);
	if (status == TDM_OK)
		*out = g;
	else
		tdm_gguf_close(g);
	return status;
}

int tdm_gguf_open(const char *path, struct tdm_gguf **out, struct tdm_error *err) {
	struct tdm_gguf *g = calloc(1, sizeof *g);
	if (!g)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory to open it", path);
	int status = tdm_map_open(path, &g->mapping, err);
	if (status != TDM_OK) {
		free(g);
		return status;
	}
	g->data = g->mapping.data;
	g->n = g->mapping.n;
	return parse(g, path, out, err);
}

int tdm_gguf_memory(const char *name, const void *data, size_t n, struct tdm_gguf **out, struct tdm_error *err) {
	struct tdm_gguf *g = calloc(1, sizeof *g);
	if (!g)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory to open it", name);
	g->data = data;
	g->n = n;
	if (n && (uintptr_t)data % 8) {
		g->copy = malloc(n);
		if (!g->copy) {
			free(g);
			return tdm_fail(err, TDM_ENOMEM, "%s: no memory to open it", name);
		}
		g->data = memcpy(g->copy, data, n);
	}
	return parse(g, name, out, err);
}

int tdm_gguf_whole(const struct tdm_gguf *g, const char *path, struct tdm_error *err) {
	return tdm_map_changed(&g->mapping) ? tdm_fail(err, TDM_EIO, "%s: the file became shorter while it was read", path)
	                                    : TDM_OK;
}

void tdm_gguf_close(struct tdm_gguf *g) {
	if (!g)
		return;
	tdm_arena_release(&g->arena);
	if (g->mapping.data)
		tdm_map_close(&g->mapping);
	free(g->copy);
	free(g);
}

// --- looking up

const struct tdm_tensor *tdm_gguf_tensor(const struct tdm_gguf *g, const char *name) {
	struct tdm_tensor wanted = {.name = name};
	const struct tdm_tensor *key = &wanted;
	if (!g->n_tensors)
		return NULL;
	const struct tdm_tensor **found = bsearch(&key, g->by_name, g->n_tensors, sizeof *g->by_name, compare_names);
	return found ? *found : NULL;
}

size_t tdm_gguf_n_tensors(const struct tdm_gguf *g) {
	return g->n_tensors;
}

const struct tdm_tensor *tdm_gguf_tensor_at(const struct tdm_gguf *g, size_t i) {
	return i < g->n_tensors ? &g->tensors[i] : NULL;
}

bool tdm_gguf_pair_at(const struct tdm_gguf *g, size_t i, struct tdm_gguf_pair *out) {
	if (i >= g->n_pairs)
		return false;
	const struct pair *p = &g->pairs[i];
	*out = (struct tdm_gguf_pair){p->key, p->key_len, g->data + p->begin, p->end - p->begin};
	return true;
}

bool tdm_gguf_u64(const struct tdm_gguf *g, const char *key, uint64_t *out) {
	const struct pair *p = find_pair(g, key);
	if (!p || p->is_array || p->type == V_F32 || p->type == V_F64 || p->type == V_STRING)
		return false;
	uint64_t value = 0;
	memcpy(&value, p->data, value_bytes[p->type]);
	bool is_signed = p->type == V_I8 || p->type == V_I16 || p->type == V_I32 || p->type == V_I64;
	if (is_signed && value >> (value_bytes[p->type] * 8 - 1))
		return false;
	*out = p->type == V_BOOL ? value != 0 : value;
	return true;
}

bool tdm_gguf_f64(const struct tdm_gguf *g, const char *key, double *out) {
	const struct pair *p = find_pair(g, key);
	if (!p || p->is_array || (p->type != V_F32 && p->type != V_F64))
		return false;
	float single;
	if (p->type == V_F64) {
		memcpy(out, p->data, sizeof *out);
		return true;
	}
	memcpy(&single, p->data, sizeof single);
	*out = single;
	return true;
}

bool tdm_gguf_text(const struct tdm_gguf *g, const char *key, const char **text, size_t *n) {
	const struct pair *p = find_pair(g, key);
	if (!p || p->is_array || p->type != V_STRING)
		return false;
	*text = p->data;
	*n = p->n;
	return true;
}

static const struct pair *find_array(const struct tdm_gguf *g, const char *key, uint32_t type, uint32_t or_type) {
	const struct pair *p = find_pair(g, key);
	return p && p->is_array && (p->type == type || p->type == or_type) ? p : NULL;
}

bool tdm_gguf_strings(const struct tdm_gguf *g, const char *key, size_t *n) {
	const struct pair *p = find_array(g, key, V_STRING, V_STRING);
	if (p)
		*n = p->n;
	return p != NULL;
}

bool tdm_gguf_string_at(const struct tdm_gguf *g, const char *key, size_t i, const char **text, size_t *len) {
	const struct pair *p = find_array(g, key, V_STRING, V_STRING);
	uint64_t n;
	if (!p || i >= p->n)
		return false;
	memcpy(&n, g->data + p->starts[i], sizeof n);
	if (n > g->n - p->starts[i] - sizeof n) // the file has changed since it was opened
		return false;
	*text = (const char *)g->data + p->starts[i] + sizeof n;
	*len = n;
	return true;
}

bool tdm_gguf_f32s(const struct tdm_gguf *g, const char *key, const float **items, size_t *n) {
	const struct pair *p = find_array(g, key, V_F32, V_F32);
	if (p) {
		*items = p->data;
		*n = p->n;
	}
	return p != NULL;
}

bool tdm_gguf_i32s(const struct tdm_gguf *g, const char *key, const int32_t **items, size_t *n) {
	const struct pair *p = find_array(g, key, V_I32, V_U32);
	if (p) {
		*items = p->data;
		*n = p->n;
	}
	return p != NULL;
}
