// Language: see language.h. Words that are also English ("die", "war", "in", "a") or names ("Max") are left out.
#include "privacy/detect/language.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WORDS 512
#define FEWEST 2 // small words that tell a language

static const char german_words[] =
    "der das den dem des ein eine einen einem einer und oder aber weil dass wenn wie auch nicht noch nur schon sehr "
    "mehr immer wieder dann ich er sie es wir ihr mich mir uns sich ihm ihn ihnen mein meine dein seine seinen ihre "
    "ihren unser unsere im auf zu zum zur von vom mit bei nach vor für über unter gegen durch ohne aus bis seit "
    "während "
    "zwischen wer warum welche diese dieser dieses jetzt damit dazu etwas nichts alles kein keine ist sind hat haben "
    "hatte wird werden wurde wurden kann können konnte muss müssen soll sollte gibt bitte sein ob ";
static const char other_words[] =
    // French
    "le la les une des du et mais car que qui quand comme aussi pas déjà très toujours je tu il elle nous vous ils "
    "elles mon ma mes ton ta tes sa ses notre votre nos vos leur dans sur sous avec sans pour par chez vers entre "
    "depuis "
    "pendant contre avant après ce cet cette ces tout toute tous est sont était ont avait sera peut doit fait faut au "
    "aux "
    // Spanish, Portuguese
    "el los las un una unos unas del al y pero porque quien cuando como también muy más siempre aquí yo él ella "
    "nosotros "
    "ellos mi mis tu su sus nuestro nuestra en con sin para por desde hasta este esta estos estas ese esa todo toda "
    "todos "
    "nada cada otro otra es son fue había puede pueden debe hace hay está están os um uma dos das ao mas também não já "
    "muito mais sempre eu você ele ela eles meu minha seu sua nosso nossa em na sobre até isso tudo são foi têm pode "
    // Italian
    "il lo gli uno di della dei delle alla perché che chi quando anche non già molto più sempre io lui lei noi voi "
    "loro "
    "mio mia suo sua nel nella sul senza dal tra fra questo questa questi tutto tutti ogni altro altra è sono ha hanno "
    "aveva sarà può possono deve "
    // Dutch
    "het een van maar dat ook niet nog heel altijd weer ik jij hij zij wij jullie ons zich hem haar hun mijn jouw zijn "
    "onze aan naar met voor onder tegen door zonder uit tot sinds tijdens tussen waarom welke deze dit iets niets geen "
    "misschien waren heeft hebben wordt worden werd kunnen moet moeten zal zou ";
static const char english_words[] = "the and of to is that for it with you this have has had my what how are be on at "
                                    "by from we they she his her their "
                                    "our your not can will would should there when where which who if or but about "
                                    "into than then been were does do did "
                                    "please could i an as so ";

struct words {
	uint64_t hashes[MOST_WORDS];
	size_t n;
};
static struct words german, other, english;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int by_hash(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void read_words(struct words *out, const char *text) {
	for (size_t n; *text && out->n < MOST_WORDS; text += n + 1) {
		n = strcspn(text, " ");
		out->hashes[out->n++] = tdm_term_hash(text, n);
	}
	qsort(out->hashes, out->n, sizeof *out->hashes, by_hash);
}

static void read_all(void) {
	read_words(&german, german_words);
	read_words(&other, other_words);
	read_words(&english, english_words);
}

static bool has(const struct words *words, const struct tdm_term *t) {
	return bsearch(&t->lower, words->hashes, words->n, sizeof *words->hashes, by_hash) != NULL;
}

bool tdm_language_word(const struct tdm_term *term) {
	pthread_once(&once, read_all);
	return has(&german, term) || has(&other, term);
}

enum tdm_language tdm_language_of(const struct tdm_term *terms, size_t n) {
	size_t n_german = 0, n_other = 0, n_english = 0;
	pthread_once(&once, read_all);
	for (size_t i = 0; i < n; i++) {
		n_german += terms[i].letters > 0 && has(&german, &terms[i]);
		n_other += terms[i].letters > 0 && has(&other, &terms[i]);
		n_english += terms[i].letters > 0 && has(&english, &terms[i]);
	}
	size_t most = n_german > n_other ? n_german : n_other;
	if (most < FEWEST || most <= n_english)
		return TDM_LANGUAGE_ENGLISH;
	return n_german > n_other ? TDM_LANGUAGE_GERMAN : TDM_LANGUAGE_OTHER;
}
