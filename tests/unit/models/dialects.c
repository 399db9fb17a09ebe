// Every dialect: what it writes for one conversation with everything in it, and what it reads, whole, byte by byte and
// cut at every byte: a cut stream is never an answer.
#include "tests.h"
#include "models/remote/dialect.h"
#include "models/remote/mend.h"
#include <stdio.h>

static const struct tdm_dialect *const all[] = {&tdm_dialect_openai, &tdm_dialect_completions, &tdm_dialect_responses,
                                                &tdm_dialect_anthropic, &tdm_dialect_llama};

// --- writing

static const char schema[] = "{\"type\":\"object\"}", arguments[] = "{\"q\":\"a\"}";
static const struct tdm_tool tools[] = {{"find", "looks up", schema, sizeof schema - 1, true},
                                        {"now", NULL, NULL, 0, false}};
static const struct tdm_tool_call calls[] = {{"c1", "find", arguments, sizeof arguments - 1}, {"c2", "now", "oops", 4}};
static const struct tdm_message talk[] = {
    {.from = TDM_FROM_SYSTEM, .text = "be \"kind\"", .len = 9},
    {.from = TDM_FROM_USER, .text = "hi", .len = 2},
    {.from = TDM_FROM_ASSISTANT, .text = "", .calls = calls, .n_calls = 2},
    {.from = TDM_FROM_TOOL, .text = "found", .len = 5, .call_id = "c1"},
    {.from = TDM_FROM_TOOL, .text = "noon", .len = 4, .call_id = "c2"},
    {.from = TDM_FROM_USER, .text = "so?", .len = 3},
};
static const char *const stops[] = {"END"};

static const char *write(struct bench *b, const struct tdm_dialect *d, const struct tdm_asking *a, int expected) {
	static char text[4000];
	struct tdm_bytes out;
	struct tdm_arena arena;
	struct tdm_value *value;
	tdm_bytes_init(&out, sizeof text);
	tdm_error_clear(&b->run.error);
	assert_int_equal(d->write(&out, a, &b->run, &b->request), expected);
	snprintf(text, sizeof text, "%s", out.data ? out.data : "");
	tdm_arena_init(&arena, 1 << 20);
	if (!expected)
		assert_int_equal(tdm_json_parse(&arena, out.data, out.len, &value, NULL), TDM_OK);
	tdm_arena_release(&arena);
	tdm_bytes_release(&out);
	return text;
}

static void ask_everything(struct bench *b) {
	b->request.messages = talk;
	b->request.n_messages = TDM_COUNT(talk);
	b->request.max_tokens = 50;
	b->request.temperature = 0.7f;
	b->request.top_p = 0.9f;
	b->request.top_k = 40;
	b->request.stop = stops;
	b->request.n_stop = 1;
	b->request.logprobs = true;
	b->request.top_logprobs = 2;
	b->request.wants_seed = true;
	b->run.seed = 7;
	b->request.tools =
	    (struct tdm_toolbox){.items = tools, .n = 2, .choice = TDM_TOOLS_ONE, .chosen = "find", .one_call = true};
}

static void test_write(void **state) {
	static const char *const expected[] = {
	    NULL,
	    "{\"model\":\"m\",\"prompt\":\"be \\\"kind\\\"\\n\\nUser: hi\\n\\nAssistant: \\n\\nTool: found\\n\\nTool: "
	    "noon\\n\\nUser: so?\\n\\nAssistant:\",\"max_tokens\":50,\"temperature\":0.7,\"top_p\":0.9,\"stop\":[\"END\"],"
	    "\"logprobs\":2,\"seed\":7,\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
	    "{\"model\":\"m\",\"input\":[{\"type\":\"message\",\"role\":\"system\",\"content\":\"be \\\"kind\\\"\"},"
	    "{\"type\":\"message\",\"role\":\"user\",\"content\":\"hi\"},{\"type\":\"function_call\",\"call_id\":\"c1\","
	    "\"name\":\"find\",\"arguments\":\"{\\\"q\\\":\\\"a\\\"}\"},{\"type\":\"function_call\",\"call_id\":\"c2\","
	    "\"name\":\"now\",\"arguments\":\"oops\"},{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":"
	    "\"found\"},{\"type\":\"function_call_output\",\"call_id\":\"c2\",\"output\":\"noon\"},{\"type\":\"message\","
	    "\"role\":\"user\",\"content\":\"so?\"}],\"tools\":[{\"type\":\"function\",\"name\":\"find\",\"description\":"
	    "\"looks up\",\"parameters\":{\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"now\","
	    "\"parameters\":{\"type\":\"object\",\"properties\":{}},\"strict\":false}],\"tool_choice\":{\"type\":"
	    "\"function\",\"name\":\"find\"},\"parallel_tool_calls\":false,\"max_output_tokens\":50,\"temperature\":0.7,"
	    "\"top_p\":0.9,\"include\":[\"message.output_text.logprobs\"],\"top_logprobs\":2,\"store\":false,"
	    "\"stream\":true}",
	    "{\"model\":\"m\",\"max_tokens\":50,\"system\":[{\"type\":\"text\",\"text\":\"be \\\"kind\\\"\"}],\"messages\":"
	    "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]},{\"role\":\"assistant\",\"content\":"
	    "[{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"find\",\"input\":{\"q\":\"a\"}},{\"type\":\"tool_use\","
	    "\"id\":\"c2\",\"name\":\"now\",\"input\":{\"text\":\"oops\"}}]},{\"role\":\"user\",\"content\":[{\"type\":"
	    "\"tool_result\",\"tool_use_id\":\"c1\",\"content\":\"found\"},{\"type\":\"tool_result\",\"tool_use_id\":"
	    "\"c2\",\"content\":\"noon\"},{\"type\":\"text\",\"text\":\"so?\"}]}],\"tools\":[{\"name\":\"find\","
	    "\"description\":\"looks up\",\"input_schema\":{\"type\":\"object\"},\"strict\":true},{\"name\":\"now\","
	    "\"input_schema\":{\"type\":\"object\"}}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"find\","
	    "\"disable_parallel_tool_use\":true},\"temperature\":0.7,\"top_p\":0.9,\"top_k\":40,\"stop_sequences\":"
	    "[\"END\"],\"stream\":true}",
	    "{\"model\":\"m\",\"prompt\":\"P\",\"n_predict\":50,\"temperature\":0.7,\"top_p\":0.9,\"top_k\":40,\"stop\":"
	    "[\"END\"],\"seed\":7,\"n_probs\":2,\"cache_prompt\":true,\"stream\":true}",
	};
	static const struct tdm_asking asking = {.model = "m", .temperature = -1, .prompt = "P", .n_prompt = 1};
	struct bench b;
	bench_open(&b, "q");
	ask_everything(&b);
	for (size_t i = 1; i < TDM_COUNT(all); i++)
		assert_string_equal(write(&b, all[i], &asking, TDM_OK), expected[i]);
	bench_close(&b);
}

static void test_write_less(void **state) {
	static const struct tdm_asking asking = {.model = "m", .temperature = 1.5, .max_tokens = 9};
	static const struct tdm_form object = {.kind = TDM_GRAMMAR_JSON},
	                             shape = {TDM_GRAMMAR_SCHEMA, schema, sizeof schema - 1, "s", true};
	static const int32_t ids[] = {1, 2};
	struct tdm_raw raw = {0};
	struct bench b;
	bench_open(&b, "once");
	assert_non_null(strstr(write(&b, &tdm_dialect_anthropic, &asking, TDM_OK), "\"max_tokens\":9"));
	assert_non_null(strstr(write(&b, &tdm_dialect_anthropic, &asking, TDM_OK), "\"temperature\":1,"));
	assert_string_equal(b.run.record->warnings->code, "parameter_clipped");
	b.request.form = &object;
	write(&b, &tdm_dialect_anthropic, &asking, TDM_ECAPABILITY);
	assert_non_null(
	    strstr(write(&b, &tdm_dialect_responses, &asking, TDM_OK), "\"text\":{\"format\":{\"type\":\"json_object\"}}"));
	assert_non_null(strstr(write(&b, &tdm_dialect_llama, &asking, TDM_OK), "\"json_schema\":{\"type\":\"object\"}"));
	b.request.form = &shape;
	assert_non_null(
	    strstr(write(&b, &tdm_dialect_anthropic, &asking, TDM_OK),
	           "\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}}"));
	assert_non_null(
	    strstr(write(&b, &tdm_dialect_responses, &asking, TDM_OK), "\"name\":\"s\",\"strict\":true,\"schema\":{"));
	b.request.form = NULL;
	b.request.raw = &raw;
	assert_non_null(strstr(write(&b, &tdm_dialect_completions, &asking, TDM_OK), "\"prompt\":\"once\","));
	assert_non_null(strstr(write(&b, &tdm_dialect_llama, &asking, TDM_OK), "\"prompt\":\"once\","));
	raw = (struct tdm_raw){.tokens = ids, .n_tokens = 2};
	b.request.n_messages = 0;
	write(&b, &tdm_dialect_completions, &asking, TDM_ECAPABILITY);
	bench_close(&b);
}

// --- reading

static int n_put;
static char seen[4000];
static int see(struct tdm_sink *sink, const struct tdm_event *e) {
	static const char *const before[] = {"", "<", "|", ""}, *const after[] = {"", ">", ":", ""};
	size_t at = strlen(seen);
	snprintf(seen + at, sizeof seen - at, "%s%.*s%s", before[e->piece], (int)e->len, e->text, after[e->piece]);
	n_put += e->n_alternatives;
	return TDM_OK;
}

#define E(json) "data: " json "\n\n"
#define D(json) "event: x\n" E(json)
static const struct {
	const struct tdm_dialect *dialect;
	const char *body, *seen;
	enum tdm_finish finish;
	int prompt, output, cached;
	const char *stop;
} good[] = {
    {&tdm_dialect_anthropic,
     D("{\"type\":\"message_start\",\"message\":{\"model\":\"claude\",\"usage\":{\"input_tokens\":3,\"output_tokens\":"
       "1,"
       "\"cache_read_input_tokens\":4,\"cache_creation_input_tokens\":2}}}") D("{\"type\":\"ping\"}")
         D("{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}")
             D("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":"
               "\"hm\"}}") D("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\","
                             "\"signature\":\"zz\"}}") D("{\"type\":\"content_block_stop\",\"index\":0}")
                 D("{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":"
                   "\"\"}}")
                     D("{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":"
                       "\"Hall\xc3\xb6\"}}") D("{\"type\":\"content_block_stop\",\"index\":1}")
                         D("{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"stop_sequence\","
                           "\"stop_sequence\":\"END\"},\"usage\":{\"output_tokens\":6}}")
                             D("{\"type\":\"message_stop\"}"),
     "<hm>Hall\xc3\xb6", TDM_FINISH_STOP, 9, 6, 4, "END"},
    {&tdm_dialect_anthropic,
     D("{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}")
         D("{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\","
           "\"name\":\"find\",\"input\":{}}}")
             D("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\","
               "\"partial_json\":\"{\\\"q\\\":\"}}")
                 D("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\","
                   "\"partial_json\":\"1}\"}}")
                     D("{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":"
                       "\"toolu_2\",\"name\":\"now\",\"input\":{}}}")
                         D("{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{"
                           "\"output_tokens\":2}}") D("{\"type\":\"message_stop\"}"),
     "|find:{\"q\":1}|now:{}", TDM_FINISH_CALLS, 3, 2, 0, NULL},
    {&tdm_dialect_responses,
     D("{\"type\":\"response.created\",\"response\":{\"model\":\"gpt\",\"status\":\"in_progress\",\"error\":null}}")
         D("{\"type\":\"response.reasoning_summary_text.delta\",\"delta\":\"hm\"}")
             D("{\"type\":\"response.output_text.delta\",\"output_index\":1,\"delta\":\"Hallo\",\"logprobs\":[{"
               "\"token\":\"Hal\",\"logprob\":-1,\"top_logprobs\":[{\"token\":\"x\",\"logprob\":-2}]},{\"token\":"
               "\"lo\",\"logprob\":-2,\"top_logprobs\":[]}]}")
                 D("{\"type\":\"response.output_item.added\",\"output_index\":2,\"item\":{\"type\":\"function_call\","
                   "\"id\":\"fc_1\",\"call_id\":\"call_1\",\"name\":\"find\",\"arguments\":\"\"}}")
                     D("{\"type\":\"response.function_call_arguments.delta\",\"output_index\":2,\"delta\":\"{}\"}")
                         D("{\"type\":\"response.output_item.done\",\"output_index\":2,\"item\":{\"type\":"
                           "\"function_call\",\"call_id\":\"call_1\",\"name\":\"find\",\"arguments\":\"{}\"}}")
                             D("{\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"usage\":{"
                               "\"input_tokens\":5,\"output_tokens\":4,\"input_tokens_details\":{\"cached_tokens\":"
                               "2}}}}"),
     "<hm>Hallo|find:{}", TDM_FINISH_CALLS, 5, 4, 2, NULL},
    {&tdm_dialect_responses,
     D("{\"type\":\"response.output_text.delta\",\"delta\":\"He EN\"}")
         D("{\"type\":\"response.output_text.delta\",\"delta\":\"Drest\"}")
             D("{\"type\":\"response.completed\",\"response\":{\"status\":\"completed\"}}"),
     "He ", TDM_FINISH_STOP, -1, -1, 0, "END"},
    {&tdm_dialect_responses,
     D("{\"type\":\"response.output_text.delta\",\"delta\":\"Hello\"}")
         D("{\"type\":\"response.incomplete\",\"response\":{\"status\":\"incomplete\",\"incomplete_details\":{"
           "\"reason\":\"content_filter\"},\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}"),
     "Hello", TDM_FINISH_FILTER, 5, 1, 0, NULL},
    {&tdm_dialect_completions,
     E("{\"model\":\"base\",\"choices\":[{\"text\":\"Hallo\",\"index\":0,\"logprobs\":{\"tokens\":[\"Hal\",\"lo\"],"
       "\"token_logprobs\":[-1,-2],\"top_logprobs\":[{\"Hal\":-1,\"Ho\":-3},{\"lo\":-2}],\"text_offset\":[0,3]}}]}")
         E("{\"choices\":[{\"text\":\"\",\"index\":0,\"finish_reason\":\"length\"}]}")
             E("{\"choices\":[],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":2}}") E("[DONE]"),
     "Hallo", TDM_FINISH_LENGTH, 2, 2, 0, NULL},
    {&tdm_dialect_llama,
     E("{\"content\":\"Hal\",\"stop\":false}") E("{\"content\":\"lo\",\"stop\":false,\"completion_probabilities\":[{"
                                                 "\"token\":\"lo\",\"logprob\":-1,\"top_logprobs\":[]}]}")
         E("{\"content\":\"\",\"stop\":true,\"stop_type\":\"word\",\"stopping_word\":\"END\",\"tokens_evaluated\":8,"
           "\"tokens_predicted\":2,\"timings\":{\"cache_n\":5}}"),
     "Hallo", TDM_FINISH_STOP, 8, 2, 5, "END"},
    {&tdm_dialect_openai,
     E("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi \\ud83d\"}}]}")
         E("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\ude00 \\ud83dx\"}}]}")
             E("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\ude00\"},\"finish_reason\":\"stop\"}]}"),
     "Hi \xf0\x9f\x98\x80 \xef\xbf\xbdx\xef\xbf\xbd", TDM_FINISH_STOP, -1, -1, 0, NULL},
};

static int read_body(struct bench *b, const struct tdm_dialect *d, const char *body, size_t n, size_t step) {
	struct tdm_upstream u;
	struct tdm_sink sink = {see, NULL};
	*seen = 0;
	n_put = 0;
	b->result = (struct tdm_result){0};
	tdm_error_clear(&b->run.error);
	tdm_upstream_init(&u, d, "far", &b->run, &b->request, &sink, &b->result);
	for (size_t at = 0; at < n; at += step)
		if (tdm_upstream_feed(&u, 200, body + at, step < n - at ? step : n - at))
			break;
	int status = tdm_upstream_end(&u, 200);
	tdm_upstream_release(&u);
	return status;
}

static void test_read(void **state) {
	struct bench b;
	bench_open(&b, "q");
	b.request.stop = stops;
	b.request.n_stop = 1;
	for (size_t i = 0; i < TDM_COUNT(good); i++)
		for (size_t step = 1; step < 5000; step = step * 7 + 1) {
			assert_int_equal(read_body(&b, good[i].dialect, good[i].body, strlen(good[i].body), step), TDM_OK);
			assert_string_equal(seen, good[i].seen);
			assert_int_equal(b.result.finish, good[i].finish);
			if (good[i].prompt >= 0) {
				assert_int_equal(b.result.prompt_tokens, good[i].prompt);
				assert_int_equal(b.result.completion_tokens, good[i].output);
			}
			assert_int_equal(b.result.estimated, good[i].prompt < 0);
			assert_int_equal(b.result.cached_tokens, good[i].cached);
			assert_true(good[i].stop ? b.result.stop && !strcmp(b.result.stop, good[i].stop) : !b.result.stop);
		}
	bench_close(&b);
}

static void test_logprobs(void **state) {
	static const struct {
		size_t i;
		int n;
		double mean;
	} cases[] = {{2, 1, -1.5}, {5, 3, -1.5}, {6, 0, -1}};
	struct bench b;
	bench_open(&b, "q");
	b.request.logprobs = true;
	b.request.top_logprobs = 2;
	for (size_t k = 0; k < TDM_COUNT(cases); k++) {
		size_t i = cases[k].i;
		assert_int_equal(read_body(&b, good[i].dialect, good[i].body, strlen(good[i].body), 64), TDM_OK);
		assert_string_equal(seen, good[i].seen);
		assert_int_equal(n_put, cases[k].n);
		assert_true(b.result.mean_logprob == cases[k].mean);
	}
	bench_close(&b);
}

// Cut at every byte: an error until the end is told, and what was seen is a beginning of the answer.
static void test_cuts(void **state) {
	struct bench b;
	bench_open(&b, "q");
	b.request.stop = stops;
	b.request.n_stop = 1;
	for (size_t i = 0; i < TDM_COUNT(good); i++) {
		size_t n = strlen(good[i].body), failed = 0;
		bool is_whole = false;
		for (size_t at = 0; at < n; at++) {
			int status = read_body(&b, good[i].dialect, good[i].body, at, n);
			if (status == TDM_OK) {
				is_whole = true;
				assert_string_equal(seen, good[i].seen);
				assert_int_equal(b.result.finish, good[i].finish);
				continue;
			}
			assert_false(is_whole); // once told, the end stays told
			assert_true(status == TDM_ETRUNCATED || status == TDM_EBADBODY);
			assert_memory_equal(seen, good[i].seen, strlen(seen));
			failed++;
		}
		assert_true(failed > n / 3);
	}
	bench_close(&b);
}

static void test_errors(void **state) {
	static const struct {
		const struct tdm_dialect *dialect;
		const char *body;
		int status;
	} cases[] = {
	    {&tdm_dialect_anthropic, D("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}"),
	     TDM_EUPSTREAM},
	    {&tdm_dialect_anthropic, D("{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\"}}"),
	     TDM_ERATE},
	    {&tdm_dialect_anthropic, D("{\"type\":\"error\",\"error\":{\"type\":\"billing_error\",\"message\":\"m\"}}"),
	     TDM_EUPAUTH},
	    {&tdm_dialect_anthropic,
	     "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long\"}}",
	     TDM_ECONTEXT},
	    {&tdm_dialect_anthropic, D("{\"a\":1}"), TDM_EBADBODY},
	    {&tdm_dialect_responses,
	     D("{\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"server_error\","
	       "\"message\":\"m\"}}}"),
	     TDM_EUPSTREAM},
	    {&tdm_dialect_responses, D("{\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"m\"}"),
	     TDM_ERATE},
	    {&tdm_dialect_responses, D("{\"type\":\"response.completed_not\"}"), TDM_ETRUNCATED},
	    {&tdm_dialect_llama,
	     E("{\"error\":{\"code\":400,\"message\":\"the request exceeds the available context "
	       "size\",\"type\":\"exceed_context_size_error\"}}"),
	     TDM_ECONTEXT},
	    {&tdm_dialect_llama, "error: {\"code\":500}\n\n", TDM_EBADBODY},
	    {&tdm_dialect_completions, E("{\"choices\":7}"), TDM_EBADBODY},
	    {&tdm_dialect_openai, E("{\"choices\":[{\"index\":1000000000,\"delta\":{\"content\":\"x\"}}]}"), TDM_EBADBODY},
	};
	struct bench b;
	bench_open(&b, "q");
	for (size_t i = 0; i < TDM_COUNT(cases); i++) {
		assert_int_equal(read_body(&b, cases[i].dialect, cases[i].body, strlen(cases[i].body), 9), cases[i].status);
		assert_string_equal(seen, "");
	}
	bench_close(&b);
}

int tdm_test_dialects(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_write),    cmocka_unit_test(test_write_less), cmocka_unit_test(test_read),
	    cmocka_unit_test(test_logprobs), cmocka_unit_test(test_cuts),       cmocka_unit_test(test_errors),
	};
	return cmocka_run_group_tests_name("dialects", tests, NULL, NULL);
}
