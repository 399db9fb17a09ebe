// Commands train and distil: one table of options, of which the last rows belong to distillation alone.
#include "cli/command.h"
#include "learn/train.h"

static volatile sig_atomic_t stop_wanted;

static void on_signal(int signal_number) {
	stop_wanted = 1;
}

static int run_train(const struct tdm_command_call *call) {
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	return tdm_train(call->options, &stop_wanted, call->error);
}

static int run_distil(const struct tdm_command_call *call) {
	const struct tdm_train_options *options = call->options;
	if (!options->teacher)
		return tdm_fail_param(call->error, TDM_EMISSING, "teacher", "--teacher is missing");
	return run_train(call);
}

const struct tdm_command tdm_command_train = {
    .name = "train",
    .summary = "a model from conversations",
    .group = "make",
    .options = tdm_train_table,
    .n_options = TDM_TRAIN_OPTIONS,
    .options_bytes = sizeof(struct tdm_train_options),
    .run = run_train,
};

const struct tdm_command tdm_command_distil = {
    .name = "distil",
    .summary = "a small model from conversations and a large model's probabilities",
    .group = "make",
    .options = tdm_train_table,
    .n_options = TDM_DISTIL_OPTIONS,
    .options_bytes = sizeof(struct tdm_train_options),
    .run = run_distil,
};
