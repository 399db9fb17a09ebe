// Asks one question through the library and prints the answer, each piece after the name of the model that wrote it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem.h>

static int print_piece(void *context, const char *text, size_t n, const char *author) {
	const char **last = context;
	if (*last != author)
		printf("[%s] ", *last = author);
	fwrite(text, 1, n, stdout);
	return 0;
}

int main(int argc, char **argv) {
	struct tandem *t;
	struct tdm_error error = {0};
	char *receipt;
	const char *last = NULL;
	if (tandem_open(NULL, &t, &error)) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	const char *text = argc > 1 ? argv[1] : "What is the capital of France?";
	struct tdm_message question = {.from = TDM_FROM_USER, .text = text, .len = strlen(text)};
	int status = tandem_ask(t, NULL, &question, 1, NULL, print_piece, &last, &receipt, &error);
	printf("\n%s\n", status ? error.text : receipt);
	free(receipt);
	tandem_close(t);
	return status != 0;
}
