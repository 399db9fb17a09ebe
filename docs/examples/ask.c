// Asks one question through the library and prints the answer, each piece after the name of the model that wrote it.
#include <stdio.h>
#include <stdlib.h>
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
	char error[512], *receipt = NULL;
	const char *last = NULL;
	if (tandem_open(NULL, &t, error, sizeof error)) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	struct tandem_message question = {"user", argc > 1 ? argv[1] : "What is the capital of France?"};
	int status = tandem_ask_receipt(t, NULL, &question, 1, NULL, print_piece, &last, &receipt, error, sizeof error);
	printf("\n%s\n", status ? error : receipt);
	free(receipt);
	tandem_close(t);
	return status != 0;
}
