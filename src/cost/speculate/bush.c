// Growing: the draft's session stands at `base`; what is below it and in more than one branch is read anew with each
// level, since a session keeps one path only. A single path is appended and costs one token a level, as a chain does.
#include "cost/speculate/bush.h"
#include "cost/speculate/verify.h"
#include "engine/sampler.h"
#include <math.h>
#include <string.h>

static const double near = 0.25; // of the likeliest place: what is less likely waits until the depth is reached

static int depth_of(const struct tdm_bush *b, int node) {
	return node < 0 ? 0 : b->depths[node];
}

int tdm_bush_meeting(const struct tdm_bush *b, int one, int other) {
	while (one != other) {
		if (one > other)
			one = b->parents[one];
		else
			other = b->parents[other];
	}
	return one;
}

int tdm_bush_stand(struct tdm_drafted *a, int node) {
	int depth = depth_of(a->bush, node);
	for (int i = depth; node >= 0; node = a->bush->parents[node])
		a->drafted[--i] = a->bush->tokens[node];
	return depth;
}

// --- looking

// The likeliest tokens of a row of logits (top: their largest) or of probabilities.
static void rank(struct tdm_bush_look *l, const float *row, int n_vocab, int width, bool is_logits) {
	float values[TDM_BUSH_WIDTH];
	l->n = 0;
	for (int32_t v = 0; v < n_vocab; v++) {
		if (l->n == width && !(row[v] > values[width - 1]))
			continue;
		int at = l->n < width ? l->n++ : width - 1;
		for (; at > 0 && row[v] > values[at - 1]; at--) {
			values[at] = values[at - 1];
			l->tokens[at] = l->tokens[at - 1];
		}
		values[at] = row[v];
		l->tokens[at] = v;
	}
	double total = is_logits ? tdm_exp_sum(row, n_vocab, values[0]) : 1;
	for (int i = 0; i < l->n; i++)
		l->each[i] = is_logits ? exp((double)values[i] - (double)values[0]) / total : (double)values[i];
}

static double likely_of(const struct tdm_bush *b, int node) {
	return node < 0 ? 1 : b->likely[node];
}

static void add(struct tdm_bush *b, int parent, int32_t token, double each) {
	int i = b->n++;
	b->tokens[i] = token;
	b->parents[i] = parent;
	b->depths[i] = depth_of(b, parent) + 1;
	b->likely[i] = likely_of(b, parent) * each;
	b->is_read[i] = false;
	b->drawn[b->n_draws++] = i;
}

static int child_of(const struct tdm_bush *b, int parent, int32_t token) {
	for (int i = parent + 1; i < b->n; i++)
		if (b->parents[i] == parent && b->tokens[i] == token)
			return i;
	return -1;
}

// All children of a place at once, independent of each other: of how many depends on nothing that is drawn here.
static void draw_all(struct tdm_drafted *a, const struct tdm_bush_look *l, int m) {
	struct tdm_bush *b = a->bush;
	int k = (int)a->kind->width < m - b->n ? (int)a->kind->width : m - b->n, room = TDM_GUESS_MOST - b->n_draws;
	for (int i = 0, n = k < room ? k : room; i < n; i++) {
		int32_t x = tdm_verify_draw(l->q, a->n_vocab, tdm_rng_double(&a->draw));
		int again = child_of(b, l->node, x);
		if (again >= 0)
			b->drawn[b->n_draws++] = again;
		else
			add(b, l->node, x, (double)l->q[x]);
	}
}

static bool is_independent(const struct tdm_drafted *a) {
	return a->kind->verify == TDM_VERIFY_KSEQ && !a->is_greedy;
}

// Keeps what the draft says behind a node, in that row of its session.
static int look(struct tdm_drafted *a, int node, int row, int m) {
	struct tdm_bush *b = a->bush;
	struct tdm_bush_look *l = &b->looks[b->n_looks];
	struct tdm_session *s = a->draft.session;
	int extra = tdm_bush_stand(a, node);
	float *place = a->q + (size_t)(a->is_greedy ? 0 : b->n_looks) * a->n_vocab;
	const float *logits = tdm_draft_row(a, s->ops->logits(s, row), extra);
	if (a->failed)
		return a->failed;
	const float *q = tdm_draft_transform(a, logits, extra, place);
	*l = (struct tdm_bush_look){.node = node, .q = place};
	b->n_looks++;
	if (node >= 0)
		b->is_read[node] = true;
	rank(l, q, a->n_vocab, (int)a->kind->width, q == logits);
	if (is_independent(a))
		draw_all(a, l, m);
	return TDM_OK;
}

// --- growing

static double value_of(const struct tdm_bush *b, const struct tdm_bush_look *l) {
	return l->taken < l->n ? likely_of(b, l->node) * l->each[l->taken] : 0;
}

// The likeliest place for one token more; NULL: none.
static struct tdm_bush_look *best_place(struct tdm_bush *b, double *value) {
	struct tdm_bush_look *best = NULL;
	*value = 0;
	for (int i = 0; i < b->n_looks; i++)
		if (value_of(b, &b->looks[i]) > *value) {
			best = &b->looks[i];
			*value = value_of(b, best);
		}
	return best;
}

// Without replacement: what the place's children have is out of the urn meanwhile.
static int32_t draw_other(struct tdm_drafted *a, const struct tdm_bush_look *l) {
	const struct tdm_bush *b = a->bush;
	float held[TDM_GUESS_MOST];
	for (int i = l->node + 1; i < b->n; i++)
		if (b->parents[i] == l->node) {
			held[i] = l->q[b->tokens[i]];
			l->q[b->tokens[i]] = 0;
		}
	int32_t x = tdm_verify_draw(l->q, a->n_vocab, tdm_rng_double(&a->draw));
	for (int i = l->node + 1; i < b->n; i++)
		if (b->parents[i] == l->node)
			l->q[b->tokens[i]] = held[i];
	return x;
}

// At most `most` tokens at the likeliest places, none less likely than `share` of the first.
static void fill(struct tdm_drafted *a, int m, int most, double floor, double share) {
	struct tdm_bush *b = a->bush;
	double value, first = 0;
	for (int i = 0; i < most && b->n < m && b->n_draws < TDM_GUESS_MOST; i++) {
		struct tdm_bush_look *l = best_place(b, &value);
		if (!l || value < floor || value < share * first)
			return;
		first = i ? first : value;
		int32_t token = a->is_greedy ? l->tokens[l->taken] : draw_other(a, l);
		add(b, l->node, token, l->each[l->taken++]);
	}
}

// The nodes that are read next: those nobody has looked behind, the likeliest ones; their number.
static int choose_front(const struct tdm_drafted *a, int depth, double floor, int *front) {
	const struct tdm_bush *b = a->bush;
	struct tdm_session *s = a->draft.session;
	int n = 0, most = TDM_BUSH_READS - b->n_looks;
	if (most > a->kind->width)
		most = (int)a->kind->width;
	for (int i = 0; i < b->n; i++) {
		if (b->is_read[i] || b->depths[i] >= depth || b->likely[i] < floor || s->ops->is_end(s, b->tokens[i]))
			continue;
		int at = n < most ? n++ : most;
		for (; at > 0 && b->likely[i] > b->likely[front[at - 1]]; at--)
			if (at < most)
				front[at] = front[at - 1];
		if (at < most)
			front[at] = i;
	}
	while (n > 1 && b->likely[front[n - 1]] < near * b->likely[front[0]])
		n--;
	return n;
}

// What has to be in a pass behind the base, so that those nodes are read. places: of each node in it, -1: not there.
static int plan(struct tdm_bush *b, const int *front, int n_front, int *places, int32_t *tokens, int *parents) {
	bool is_in[TDM_GUESS_MOST] = {0};
	int n = 0;
	for (int i = 0; i < n_front; i++)
		for (int at = front[i]; at != b->base; at = b->parents[at])
			is_in[at] = true;
	for (int i = 0; i < b->n; i++) {
		places[i] = is_in[i] ? n : -1;
		if (!is_in[i])
			continue;
		tokens[n] = b->tokens[i];
		parents[n++] = b->parents[i] == b->base ? -1 : places[b->parents[i]];
	}
	return n;
}

static int read_front(struct tdm_drafted *a, const int *front, int n_front, int m) {
	struct tdm_bush *b = a->bush;
	int32_t tokens[TDM_GUESS_MOST];
	int places[TDM_GUESS_MOST], parents[TDM_GUESS_MOST], base = b->base;
	for (int i = 0; i < n_front; i++)
		base = tdm_bush_meeting(b, base, front[i]);
	int status = tdm_side_forget(&a->draft, a->n_tokens + depth_of(b, base));
	b->base = base;
	int n = plan(b, front, n_front, places, tokens, parents);
	if (status == TDM_OK && n_front == 1) {
		status = tdm_side_append(&a->draft, a->run, tokens, NULL, n);
		b->base = front[0];
	} else if (status == TDM_OK) {
		status = tdm_side_append(&a->draft, a->run, tokens, parents, n);
	}
	for (int i = 0; i < n_front && status == TDM_OK; i++)
		status = look(a, front[i], places[front[i]], m);
	return status;
}

// Of the draft's context a level's pass takes a place for every token in it, not for the deepest ones alone.
static int fitting(const struct tdm_drafted *a, int m) {
	const struct tdm_session *d = a->draft.session;
	int room = d ? d->context - d->prompt_tokens - a->n_tokens : 0;
	return room < m ? room : m;
}

int tdm_bush_grow(struct tdm_drafted *a, int m, double floor) {
	struct tdm_bush *b = a->bush;
	int front[TDM_GUESS_MOST], n_front, behind = a->n_tokens - a->draft.seen;
	int depth = tdm_draft_fitting(a, a->n_tokens, (int)a->kind->depth);
	b->n = b->n_draws = b->n_looks = 0;
	b->base = -1;
	m = fitting(a, m);
	if (m <= 0 || depth <= 0)
		return TDM_OK;
	int status = tdm_side_append(&a->draft, a->run, a->tokens + a->draft.seen, NULL, behind);
	if (status == TDM_OK)
		status = look(a, -1, behind - 1, m);
	for (int level = 1; level <= depth && status == TDM_OK && b->n < m; level++) {
		if (!is_independent(a))
			fill(a, m, (int)a->kind->width, floor, near);
		n_front = b->n < m && level < depth ? choose_front(a, depth, floor, front) : 0;
		if (n_front == 0)
			break;
		status = read_front(a, front, n_front, m);
	}
	if (status == TDM_OK && !is_independent(a))
		fill(a, m, m, floor, 0);
	return status;
}
