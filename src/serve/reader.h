// Reader: what the readers of all wire formats share: where to put things, and how to say what was wrong.
#pragma once
#include "base/value.h"
#include "models/model.h"

struct tdm_reader {
	struct tdm_arena *arena;
	struct tdm_record *record; // gets warnings
	struct tdm_error *err;
};

// "PARAM: expected EXPECTED, got a string".
int tdm_reader_wrong(struct tdm_reader *r, const char *param, const char *expected, const struct tdm_value *got);
int tdm_reader_memory(struct tdm_reader *r);
int tdm_reader_bool(struct tdm_reader *r, const struct tdm_value *map, const char *key, const char *param, bool *out);
// A field that is checked and has no effect, or is read by somebody else: of one of these types, a number in its range.
enum {
	TDM_FIELD_BOOL = 1,
	TDM_FIELD_INTEGER = 2,
	TDM_FIELD_NUMBER = 4,
	TDM_FIELD_STRING = 8,
	TDM_FIELD_LIST = 16,
	TDM_FIELD_MAP = 32
};
struct tdm_field {
	const char *name;
	unsigned types;
	double min, max;
};
int tdm_reader_field(struct tdm_reader *r, const struct tdm_value *body, const struct tdm_field *field);
int tdm_reader_fields(struct tdm_reader *r, const struct tdm_value *body, const struct tdm_field *fields, size_t n);
// A value as JSON text in the arena; NULL when out of memory.
const char *tdm_reader_json(struct tdm_reader *r, const struct tdm_value *value, size_t *len);
// A string, or a list of at most 16, none empty; NULL: none.
int tdm_reader_stop(struct tdm_reader *r, const struct tdm_value *stop, const char *param, struct tdm_request *out);
// A number from 0 to max, a whole one of at least `least`; what is absent leaves *out.
int tdm_body_number(struct tdm_reader *r, const struct tdm_value *body, const char *name, double max, float *out);
int tdm_body_count(struct tdm_reader *r, const struct tdm_value *body, const char *name, int least, int *out);

// The form that an answer must have (NULL: any). at: where it stands in the body; flat: a schema lies in it, not in its
// json_schema.
int tdm_read_form(struct tdm_reader *r, const struct tdm_value *format, const char *at, bool flat,
                  struct tdm_request *out);
// Responses: tools and tool_choice whose functions are flat; parallel_tool_calls.
int tdm_read_flat_tools(struct tdm_reader *r, const struct tdm_value *body, struct tdm_toolbox *out);
// One call with name and arguments, which may be an object. param: where it stands.
int tdm_read_call(struct tdm_reader *r, const struct tdm_value *call, const char *param, struct tdm_tool_call *out);
// Chat completions: tools, tool_choice and parallel_tool_calls, or the older functions and function_call (*older).
int tdm_read_tools(struct tdm_reader *r, const struct tdm_value *body, struct tdm_toolbox *out, bool *older);
// The calls of an assistant's message (messages[index]), the older function_call included.
int tdm_read_calls(struct tdm_reader *r, const struct tdm_value *message, size_t index, struct tdm_message *out);
// The call that a tool's message answers. before: the messages before it; an older one answers the last call there.
int tdm_read_call_id(struct tdm_reader *r, const struct tdm_value *message, const struct tdm_message *before,
                     size_t index, struct tdm_message *out);
