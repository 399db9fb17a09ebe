// See forms.h. `lock` guards all of `kept`; an entry that is in use stays where it is. Compiling is done without the
// lock.
#include "models/forms.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define N_ENTRIES 32
#define N_IDLE 4                            // constraints of one form: as many as answers at one time are likely
#define TOTAL_BYTES ((size_t)64 << 20)      // of all that is kept and not in use
#define CONSTRAINT_BYTES ((size_t)16 << 20) // a larger one starts anew next time

struct tdm_form_entry {
	enum tdm_grammar_kind kind;
	char *text; // NULL = free
	size_t len;
	struct tdm_grammar *grammar;
	int users;
	uint64_t last;
	struct {
		const struct tdm_token_tree *tree;
		struct tdm_constraint *constraint; // NULL = free
		size_t bytes;
	} idle[N_IDLE];
	bool is_private; // there was no room: freed when it is given back
};

static struct {
	pthread_mutex_t lock;
	struct tdm_form_entry entries[N_ENTRIES];
	uint64_t clock;
	struct tdm_forms_stats stats;
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

// --- under the lock

static void drop_idle(struct tdm_form_entry *e, int at) {
	if (!e->idle[at].constraint)
		return;
	tdm_constraint_free(e->idle[at].constraint);
	kept.stats.bytes -= e->idle[at].bytes;
	kept.stats.n_constraints--;
	e->idle[at].constraint = NULL;
}

static void clear(struct tdm_form_entry *e) {
	if (!e->text)
		return;
	for (int i = 0; i < N_IDLE; i++)
		drop_idle(e, i);
	kept.stats.bytes -= tdm_grammar_bytes(e->grammar) + e->len;
	kept.stats.n_grammars--;
	tdm_grammar_free(e->grammar);
	free(e->text);
	*e = (struct tdm_form_entry){0};
}

static struct tdm_form_entry *find(const struct tdm_form *f) {
	size_t len = f->kind == TDM_GRAMMAR_JSON ? 0 : f->len;
	for (int i = 0; i < N_ENTRIES; i++) {
		struct tdm_form_entry *e = &kept.entries[i];
		if (e->text && e->kind == f->kind && e->len == len && !memcmp(e->text, f->text, len))
			return e;
	}
	return NULL;
}

// The free entry, or the one unused longest that is not in use.
static struct tdm_form_entry *oldest(bool only_used) {
	struct tdm_form_entry *found = NULL;
	for (int i = 0; i < N_ENTRIES; i++) {
		struct tdm_form_entry *e = &kept.entries[i];
		if (!e->users && !(only_used && !e->text) && (!found || e->last < found->last))
			found = e;
	}
	return found;
}

static void make_room(void) {
	struct tdm_form_entry *e;
	while (kept.stats.bytes > TOTAL_BYTES && (e = oldest(true)))
		clear(e);
}

static struct tdm_form_entry *use(struct tdm_form_entry *e) {
	e->users++;
	e->last = ++kept.clock;
	return e;
}

// Keeps a grammar that was just compiled, or finds that another thread was faster.
static struct tdm_form_entry *keep(const struct tdm_form *f, char *text, struct tdm_grammar *g) {
	struct tdm_form_entry *e = find(f);
	size_t len = f->kind == TDM_GRAMMAR_JSON ? 0 : f->len;
	if (e) {
		tdm_grammar_free(g);
		free(text);
		return use(e);
	}
	e = oldest(false);
	if (e) {
		clear(e);
		kept.stats.n_grammars++;
		kept.stats.bytes += tdm_grammar_bytes(g) + len;
	} else if (!(e = calloc(1, sizeof *e))) {
		return NULL;
	} else {
		e->is_private = true;
	}
	e->kind = f->kind;
	e->text = text;
	e->len = len;
	e->grammar = g;
	return use(e);
}

// --- the interface

static struct tdm_form_entry *known(const struct tdm_form *form) {
	pthread_mutex_lock(&kept.lock);
	struct tdm_form_entry *e = find(form);
	kept.stats.asked++;
	if (e)
		use(e);
	pthread_mutex_unlock(&kept.lock);
	return e;
}

static int take_entry(const struct tdm_form *form, struct tdm_form_entry **out, struct tdm_error *err) {
	struct tdm_grammar *g = NULL;
	size_t len = form->kind == TDM_GRAMMAR_JSON ? 0 : form->len;
	*out = known(form);
	if (*out)
		return TDM_OK;
	int status = tdm_grammar_new(form->kind, form->text, form->len, NULL, &g, err);
	if (status)
		return status;
	char *text = malloc(len + 1);
	if (text) {
		memcpy(text, len ? form->text : "", len);
		pthread_mutex_lock(&kept.lock);
		kept.stats.compiled++;
		*out = keep(form, text, g);
		pthread_mutex_unlock(&kept.lock);
	}
	if (*out)
		return TDM_OK;
	free(text);
	tdm_grammar_free(g);
	return tdm_fail(err, TDM_ENOMEM, "no memory for a form of %zu bytes", len);
}

static void give_entry(struct tdm_form_entry *e) {
	pthread_mutex_lock(&kept.lock);
	bool is_private = e->is_private; // another thread may have the entry as soon as the lock is free
	e->users--;
	make_room();
	pthread_mutex_unlock(&kept.lock);
	if (!is_private)
		return;
	tdm_grammar_free(e->grammar);
	free(e->text);
	free(e);
}

int tdm_forms_check(const struct tdm_form *form, struct tdm_error *err) {
	struct tdm_form_entry *e;
	int status = take_entry(form, &e, err);
	if (!status)
		give_entry(e);
	return status;
}

static struct tdm_constraint *take_idle(struct tdm_form_entry *e, const struct tdm_token_tree *tree) {
	struct tdm_constraint *c = NULL;
	pthread_mutex_lock(&kept.lock);
	for (int i = 0; i < N_IDLE && !c; i++) {
		if (!e->idle[i].constraint || e->idle[i].tree != tree)
			continue;
		c = e->idle[i].constraint;
		kept.stats.bytes -= e->idle[i].bytes;
		kept.stats.n_constraints--;
		e->idle[i].constraint = NULL;
	}
	kept.stats.made += !c;
	pthread_mutex_unlock(&kept.lock);
	return c;
}

int tdm_forms_take(const struct tdm_form *form, const struct tdm_token_tree *tree, struct tdm_kept_form *out,
                   struct tdm_error *err) {
	struct tdm_form_entry *e;
	int status = take_entry(form, &e, err);
	if (status)
		return status;
	struct tdm_constraint *c = take_idle(e, tree);
	if (!c)
		status = tdm_constraint_new(e->grammar, tree, &c, err);
	if (status) {
		give_entry(e);
		return status;
	}
	*out = (struct tdm_kept_form){e, e->grammar, tree, c};
	return TDM_OK;
}

void tdm_forms_give(struct tdm_kept_form *k) {
	if (!k->entry)
		return;
	struct tdm_constraint_stats stats = tdm_constraint_stats(k->constraint);
	bool is_kept = !k->entry->is_private && !stats.has_failed && stats.bytes <= CONSTRAINT_BYTES;
	int at = 0;
	tdm_constraint_rewind(k->constraint, 0);
	pthread_mutex_lock(&kept.lock);
	while (at < N_IDLE && k->entry->idle[at].constraint)
		at++;
	if (is_kept && at < N_IDLE) {
		k->entry->idle[at].tree = k->tree;
		k->entry->idle[at].bytes = stats.bytes;
		k->entry->idle[at].constraint = k->constraint;
		kept.stats.bytes += stats.bytes;
		kept.stats.n_constraints++;
		k->constraint = NULL;
	}
	pthread_mutex_unlock(&kept.lock);
	tdm_constraint_free(k->constraint);
	give_entry(k->entry);
	*k = (struct tdm_kept_form){0};
}

void tdm_forms_forget(const struct tdm_token_tree *tree) {
	if (!tree)
		return;
	pthread_mutex_lock(&kept.lock);
	for (int i = 0; i < N_ENTRIES; i++)
		for (int k = 0; k < N_IDLE; k++)
			if (kept.entries[i].idle[k].tree == tree)
				drop_idle(&kept.entries[i], k);
	pthread_mutex_unlock(&kept.lock);
}

struct tdm_forms_stats tdm_forms_stats(void) {
	pthread_mutex_lock(&kept.lock);
	struct tdm_forms_stats s = kept.stats;
	pthread_mutex_unlock(&kept.lock);
	return s;
}
