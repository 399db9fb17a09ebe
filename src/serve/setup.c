// Setup: one reading of the settings, checked as a whole before anything uses it. The rule it protects: a request sees
// one setup from its beginning to its end, and a bad one is never used by halves. Something new that the settings say
// of all requests: a field here, filled in tdm_setup_new.
#include "base/clock.h"
#include "base/crypto.h"
#include "serve/server_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int find_standard(struct tdm_setup *s, struct tdm_error *err) {
	struct tdm_model *const *models;
	size_t n = tdm_tree_models(s->tree, &models);
	const char *name = s->settings.standard;
	s->standard = name ? tdm_tree_model(s->tree, name) : n ? models[0] : NULL;
	if (s->standard)
		return TDM_OK;
	return tdm_fail(err, TDM_ECONFIG, "serve.default: there is no model \"%s\"", name ? name : "");
}

int tdm_setup_new(struct tdm_arena *arena, struct tdm_tree *tree, const struct tdm_serve_settings *settings,
                  struct tdm_setup **out, struct tdm_error *err) {
	struct tdm_setup *s = calloc(1, sizeof *s);
	if (!s) {
		tdm_tree_close(tree);
		tdm_arena_release(arena);
		return tdm_fail(err, TDM_ENOMEM, "out of memory");
	}
	s->arena = *arena;
	s->tree = tree;
	s->settings = *settings;
	s->made_s = tdm_wall_us() / 1000000;
	snprintf(s->fingerprint, sizeof s->fingerprint, "tdm_%.8s", tdm_tree_hash(tree) + strlen("sha256:"));
	int status = tdm_telemetry_read(&s->arena, "telemetry", tdm_tree_section(tree, "telemetry"), &s->telemetry, err);
	if (!status)
		status = find_standard(s, err);
	if (!status)
		status = tdm_keys_open(&s->settings, &s->keys, err);
	if (status) {
		tdm_setup_close(s);
		return status;
	}
	*out = s;
	return TDM_OK;
}

void tdm_setup_close(struct tdm_setup *s) {
	if (!s)
		return;
	tdm_tree_close(s->tree);
	tdm_arena_release(&s->arena);
	tdm_keys_close(s->keys);
	free(s);
}
