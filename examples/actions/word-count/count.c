/* Counts the words of a file and writes the number to the step's outputs. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static long count(FILE *in)
{
	long words = 0;
	int inside = 0;

	for (int c; (c = getc(in)) != EOF;) {
		if (!isspace(c) && !inside)
			words++;
		inside = !isspace(c);
	}
	return words;
}

int main(int argc, char **argv)
{
	const char *outputs = getenv("GITHUB_OUTPUT");

	if (argc != 2 || outputs == NULL) {
		fputs("usage: count FILE, with GITHUB_OUTPUT set\n", stderr);
		return 2;
	}
	FILE *in = fopen(argv[1], "r");
	if (in == NULL) {
		perror(argv[1]);
		return 1;
	}
	long words = count(in);
	fclose(in);
	printf("%s has %ld words\n", argv[1], words);

	FILE *out = fopen(outputs, "a");
	if (out == NULL || fprintf(out, "words=%ld\n", words) < 0 || fclose(out) != 0) {
		perror(outputs);
		return 1;
	}
	return 0;
}
