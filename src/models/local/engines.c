// Engines in use, a list under one lock. The rule it protects: an engine is shared only where nothing could tell it
// from a new one, and never inside one tree, whose names are unique: two models of a tree have caches of their own.
#include "models/local/engines.h"
#include "models/forms.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct shared {
	char *key;
	struct tdm_engine *engine;
	size_t n_users;
	struct shared *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards the list
static struct shared *all;

const char *tdm_engines_key(struct tdm_arena *arena, const char *name, const char *options, const char *const *paths,
                            size_t n) {
	const char *key = tdm_arena_printf(arena, "%s\n%s", name, options);
	for (size_t i = 0; i < n && key; i++) {
		struct stat s = {0};
		if (paths[i] && !stat(paths[i], &s))
			key = tdm_arena_printf(arena, "%s\n%s %llu %llu %lld %lld.%09ld", key, paths[i],
			                       (unsigned long long)s.st_dev, (unsigned long long)s.st_ino, (long long)s.st_size,
			                       (long long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
		else
			key = tdm_arena_printf(arena, "%s\n%s", key, paths[i] ? paths[i] : "");
	}
	return key;
}

struct tdm_engine *tdm_engines_find(const char *key) {
	struct tdm_engine *found = NULL;
	pthread_mutex_lock(&lock);
	for (struct shared *s = all; s && !found; s = s->next)
		if (!strcmp(s->key, key)) {
			s->n_users++;
			found = s->engine;
		}
	pthread_mutex_unlock(&lock);
	return found;
}

void tdm_engines_add(const char *key, struct tdm_engine *e) {
	struct shared *s = malloc(sizeof *s);
	char *copy = strdup(key);
	if (!s || !copy) {
		free(s);
		free(copy);
		return;
	}
	pthread_mutex_lock(&lock);
	*s = (struct shared){copy, e, 1, all};
	all = s;
	pthread_mutex_unlock(&lock);
}

// Whether that was the last user.
static bool leave(const struct tdm_engine *e) {
	bool last = true;
	pthread_mutex_lock(&lock);
	for (struct shared **at = &all, *s; (s = *at); at = &s->next) {
		if (s->engine != e)
			continue;
		last = --s->n_users == 0;
		if (last) {
			*at = s->next;
			free(s->key);
			free(s);
		}
		break;
	}
	pthread_mutex_unlock(&lock);
	return last;
}

void tdm_engines_leave(struct tdm_engine *e) {
	if (!e || !leave(e))
		return;
	tdm_forms_forget(tdm_engine_tokens_made(e));
	tdm_engine_close(e);
}
