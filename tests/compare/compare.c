// compare LIBRARIES FOLDER [FAMILY|all|each [FORMAT|all [layers]]]: random weights of every family in every format, run
// by this engine, by llama.cpp (its libraries in LIBRARIES) and exactly; prints a table, and every layer when asked to.
// each: every family, in one of the formats. Weight files are written to FOLDER and removed. Ends with 1 when a row
// breaks a rule:
//
//   - F32: no logit differs from llama.cpp's by more than 2e-3 (2e-2 with GELU, for which llama.cpp has a table);
//   - every format: the root mean square of the distance from the exact logits is at most 1.1 times llama.cpp's;
//   - where llama.cpp overflows, that root mean square is below 0.1;
//   - an encoder's vector of the text likewise (1.5 times), its classes nearer than 0.2 to llama.cpp's, 2e-3 in F32.
#include "compare.h"
#include "../tools/family_model.h"
#include "base/random.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 512, N_PLAIN = 317 }; // tokens of a text; of the vocabulary without control tokens

// Distance of two lists of rows.
struct gap {
	double largest, squares, first; // root mean square; share of rows with the same largest element
};

static int first_of(const float *x, int n) {
	int best = 0;
	for (int i = 1; i < n; i++)
		if (x[i] > x[best])
			best = i;
	return best;
}

static struct gap gap_of(const float *a, const float *b, int n_rows, int width) {
	struct gap gap = {0};
	double sum = 0;
	int same = 0;
	for (int row = 0; row < n_rows; row++, a += width, b += width) {
		for (int i = 0; i < width; i++) {
			double distance = fabs((double)a[i] - (double)b[i]);
			gap.largest = distance <= gap.largest || isnan(gap.largest) ? gap.largest : distance; // NaN stays
			sum += distance * distance;
		}
		same += first_of(a, width) == first_of(b, width);
	}
	gap.squares = sqrt(sum / n_rows / width);
	gap.first = (double)same / n_rows;
	return gap;
}

struct voices {
	struct tdm_said ours, theirs, exact;
	bool is_encoder, is_gelu;
};

// The distances of the logits, or of an encoder's last layer.
static void compare_ends(const struct voices *v, struct gap out[3]) {
	const struct tdm_said *all[] = {&v->ours, &v->theirs, &v->exact};
	const float *x[3];
	int last = v->ours.n_layers - 1, width = v->is_encoder ? v->ours.width : v->ours.n_vocab;
	for (int i = 0; i < 3; i++)
		x[i] = v->is_encoder ? tdm_said_layer(all[i], last, 0) : all[i]->logits;
	out[0] = gap_of(x[0], x[1], N, width);
	out[1] = gap_of(x[0], x[2], N, width);
	out[2] = gap_of(x[1], x[2], N, width);
}

static double size_of(const struct tdm_said *s, int layer) {
	double sum = 0;
	const float *x = tdm_said_layer(s, layer, 0);
	for (size_t i = 0; i < (size_t)s->n * (size_t)s->width; i++)
		sum += (double)x[i] * (double)x[i];
	return sqrt(sum / s->n / s->width);
}

// The largest distance of a layer from llama.cpp's, in units of the layer's own root mean square.
static double compare_layers(const struct voices *v, bool show) {
	double largest = 0;
	for (int layer = 0; layer < v->ours.n_layers; layer++) {
		struct gap gaps[3];
		double size = size_of(&v->exact, layer);
		const float *a = tdm_said_layer(&v->ours, layer, 0), *b = tdm_said_layer(&v->theirs, layer, 0);
		gaps[0] = gap_of(a, b, N, v->ours.width);
		gaps[1] = gap_of(a, tdm_said_layer(&v->exact, layer, 0), N, v->ours.width);
		gaps[2] = gap_of(b, tdm_said_layer(&v->exact, layer, 0), N, v->ours.width);
		double here = gaps[0].squares / size;
		largest = here <= largest ? largest : here;
		if (show)
			printf(
			    "  after layer %d, rms %.3g: largest difference %.2e, rms %.2e; rms from exact: tandem %.2e, llama.cpp "
			    "%.2e\n",
			    layer, size, gaps[0].largest, gaps[0].squares, gaps[1].squares, gaps[2].squares);
	}
	return largest;
}

// llama.cpp keeps the sum of 32 activations in half precision for Q4_1 and Q5_1: beyond 65504 it overflows.
static bool overflows(const struct gap *theirs) {
	return !isfinite(theirs->squares);
}

// Of an encoder: the text's vector and its classes.
static int print_text(const struct voices *v, uint32_t type) {
	struct {
		const char *what;
		int first, n;
	} parts[] = {{"vector", 0, v->ours.width}, {"classes", v->ours.width, v->ours.n_classes}};
	int n_wrong = 0;
	for (size_t i = 0; i < 2 && v->is_encoder; i++) {
		int at = parts[i].first, n = parts[i].n;
		if (!n)
			continue;
		struct gap ours = gap_of(v->ours.text + at, v->exact.text + at, 1, n);
		struct gap theirs = gap_of(v->theirs.text + at, v->exact.text + at, 1, n);
		struct gap both = gap_of(v->ours.text + at, v->theirs.text + at, 1, n);
		// of a few numbers, one rounding may be a multiple of another of its size by chance
		bool is_wrong = overflows(&theirs) ? !(ours.squares < 0.1)
		                : n < 100          ? !(both.largest < (type == TDM_F32 ? 2e-3 : 0.2))
		                                   : !(ours.squares <= 1.5 * theirs.squares + 1e-6);
		printf("  %s of the text, %d numbers: largest difference %.2e; rms from exact: tandem %.2e, llama.cpp %.2e%s\n",
		       parts[i].what, n, both.largest, ours.squares, theirs.squares, is_wrong ? ", too far" : "");
		n_wrong |= is_wrong;
	}
	return n_wrong;
}

static const char *verdict(const struct voices *v, uint32_t type, const struct gap gaps[3]) {
	double most = overflows(&gaps[2]) ? 0.1 : 1.1 * gaps[2].squares + 1e-6;
	if (type == TDM_F32 && !(gaps[0].largest < (v->is_gelu ? 2e-2 : 2e-3)))
		return "too far from llama.cpp";
	if (!(gaps[1].squares <= most))
		return "farther from exact than llama.cpp";
	return "";
}

static int print_row(const struct voices *v, const char *recipe, uint32_t type, bool show_layers) {
	struct gap gaps[3];
	compare_ends(v, gaps);
	const char *wrong = verdict(v, type, gaps);
	printf("| %s | %s | %d | %.2e | %.1f %% | %.2e | %.2e | %.2e | %.2e | %.1f %% | %.1f %% | %.2e | %s |\n", recipe,
	       tdm_format_name(type), N, gaps[0].largest, 100 * gaps[0].first, gaps[1].largest, gaps[2].largest,
	       gaps[1].squares, gaps[2].squares, 100 * gaps[1].first, 100 * gaps[2].first, compare_layers(v, false),
	       *wrong || !overflows(&gaps[2]) ? wrong : "llama.cpp overflows");
	if (show_layers)
		compare_layers(v, true);
	int text_wrong = print_text(v, type);
	fflush(stdout);
	return *wrong || text_wrong;
}

static int hear(struct voices *v, const char *path, struct tdm_engine *e, struct tdm_error *err) {
	const struct tdm_shape *shape = &e->weights.shape;
	int32_t tokens[N];
	struct tdm_rng rng;
	tdm_rng_init(&rng, 11);
	for (int i = 0; i < N; i++)
		tokens[i] = (int32_t)tdm_rng_below(&rng, N_PLAIN);
	v->is_encoder = shape->family->traits & TDM_ENCODER;
	v->is_gelu = shape->family->traits & TDM_GELU;
	if (!tdm_said_init(&v->ours, shape, N) || !tdm_said_init(&v->theirs, shape, N) ||
	    !tdm_said_init(&v->exact, shape, N))
		return tdm_fail(err, TDM_ENOMEM, "no memory for %d tokens", N);
	int status = tdm_ours_read(e, tokens, &v->ours, err);
	if (!status)
		status = tdm_theirs_read(path, shape, tokens, &v->theirs, err);
	return status ? status : tdm_exact_read(&e->weights, tokens, &v->exact, err);
}

static int compare(const char *folder, const char *recipe, uint32_t type, uint64_t seed, bool show_layers, int *n_wrong,
                   struct tdm_error *err) {
	const struct tdm_engine_options o = {.threads = 2, .cache_type = TDM_CACHE_F32};
	const struct tdm_family_model_options made = {.type = type, .seed = seed, .is_wide = true};
	struct voices v = {0};
	struct tdm_engine *e = NULL;
	char path[1024];
	snprintf(path, sizeof path, "%s/%s-%s.gguf", folder, recipe, tdm_format_name(type));
	int status = tdm_family_model_write(recipe, &made, path, err);
	if (!status)
		status = tdm_engine_open(path, &o, &e, err);
	if (!status)
		status = hear(&v, path, e, err);
	if (!status)
		*n_wrong += print_row(&v, recipe, type, show_layers);
	tdm_said_release(&v.ours);
	tdm_said_release(&v.theirs);
	tdm_said_release(&v.exact);
	tdm_engine_close(e);
	unlink(path);
	return status;
}

// llama.cpp reads no window from Llama's files; the other has other words only.
static bool is_comparable(const char *recipe) {
	return strcmp(recipe, "llama-window") != 0 && strcmp(recipe, "bert-words") != 0;
}

struct wish {
	const char *family, *format; // a name, "all", or for the family "each"
	bool layers;
};

static bool is_named(const char *wish, const char *name) {
	return strcmp(wish, "all") == 0 || strcmp(wish, name) == 0;
}

static bool is_asked(const struct wish *w, size_t i, uint32_t format) {
	const char *recipe = tdm_family_model_at(i);
	if (!is_comparable(recipe))
		return false;
	if (strcmp(w->family, "each") == 0) // without the one of 46 layers, which takes a minute
		return i % tdm_n_formats == format && strcmp(recipe, "gemma2-27b") != 0;
	return is_named(w->family, recipe) && is_named(w->format, tdm_formats[format].name);
}

int main(int argc, char **argv) {
	const struct wish w = {argc > 3 ? argv[3] : "all", argc > 4 ? argv[4] : "all", argc > 5};
	struct tdm_error err = {0};
	int n_wrong = 0, n_rows = 0;
	if (argc < 3) {
		fprintf(stderr, "usage: compare LIBRARIES FOLDER [FAMILY|all|each [FORMAT|all [layers]]]\n");
		return 2;
	}
	int status = tdm_theirs_init(argv[1], &err);
	puts("| family | format | positions | largest difference of a logit | same first token | largest from exact: "
	     "tandem | "
	     "llama.cpp | rms from exact: tandem | llama.cpp | first token as exact: tandem | llama.cpp | layers, relative "
	     "| |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|");
	for (size_t i = 0; tdm_family_model_at(i) && !status; i++)
		for (uint32_t f = 0; f < tdm_n_formats && !status; f++)
			if (is_asked(&w, i, f)) {
				status = compare(argv[2], tdm_family_model_at(i), tdm_formats[f].type, i + 1, w.layers, &n_wrong, &err);
				n_rows++;
			}
	if (status)
		fprintf(stderr, "compare: %s\n", err.text);
	printf("\n%d rows, %d break a rule\n", n_rows, n_wrong);
	return status || n_wrong || !n_rows;
}
