// `tandem fit-states`: the projection of shepherd's part: states.
#include "cli/command.h"
#include "learn/fit_states.h"

static volatile sig_atomic_t stop_wanted;

static void on_signal(int signal_number) {
	stop_wanted = 1;
}

static int run(const struct tdm_command_call *call) {
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	return tdm_fit_states(call->options, &stop_wanted, call->error);
}

const struct tdm_command tdm_command_fit_states = {
    .name = "fit-states",
    .summary = "the projection through which a small model reads a large one's states",
    .group = "make",
    .options = tdm_fit_states_table,
    .n_options = TDM_FIT_STATES_OPTIONS,
    .options_bytes = sizeof(struct tdm_fit_states_options),
    .run = run,
};
