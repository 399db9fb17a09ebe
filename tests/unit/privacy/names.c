// Names: cutting, the tagger's file and path, lists, addresses, and what the detector makes of them. The weights are
// the ones that are shipped.
#include "tests.h"
#include "base/bytes.h"
#include "base/file.h"
#include "privacy/detect/names.h"
#include "privacy/detect/street.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHTS "weights/tagger/tagger.bin"

static struct tdm_tagger tagger;

static int open_weights(void **state) {
	struct tdm_error error = {0};
	int status = tdm_tagger_open(WEIGHTS, &tagger, &error);
	if (status != TDM_OK)
		fprintf(stderr, "%s\n", error.text);
	return status;
}

static int close_weights(void **state) {
	tdm_tagger_release(&tagger);
	return 0;
}

// "one|two": the terms of the text.
static void assert_terms(const char *text, const char *expected) {
	struct tdm_terms terms = {0};
	struct tdm_bytes out;
	tdm_bytes_init(&out, 4096);
	assert_int_equal(tdm_terms_cut(text, strlen(text), &terms, NULL), TDM_OK);
	for (size_t i = 0; i < terms.n; i++) {
		tdm_bytes_puts(&out, i == 0 ? "" : tdm_terms_break(&terms, i) ? "||" : "|");
		tdm_bytes_add(&out, text + terms.items[i].start, terms.items[i].end - terms.items[i].start);
	}
	assert_string_equal(out.data ? out.data : "", expected);
	tdm_bytes_release(&out);
	tdm_terms_release(&terms);
}

static void texts_are_cut_into_words_and_signs(void **state) {
	assert_terms("", "");
	assert_terms("Hi, I'm Ann.", "Hi|,|I'm|Ann|.");
	assert_terms("Mr. J. O'Neil-Smith came. He left!", "Mr|.|J|.|O'Neil-Smith|came|.||He|left|!");
	assert_terms("a@b.com (x_1)\nnext line", "a@b.com|(|x_1|)||next|line");
	assert_terms("Łódź 张伟x Пётр", "Łódź|张伟|x|Пётр");
	assert_terms("12.5% -- U.S. D-10115", "12.5|%|-|-|U.S|.||D-10115");
	assert_terms("\xff\xfe ok \xc3", "\xff|\xfe|ok|\xc3");
}

static void small_letters_have_the_same_hash(void **state) {
	struct tdm_terms a = {0};
	assert_int_equal(tdm_terms_cut("MÜLLER", strlen("MÜLLER"), &a, NULL), TDM_OK);
	assert_true(a.items[0].lower == tdm_term_hash("müller", strlen("müller")));
	assert_int_equal(a.items[0].caps, TDM_CAPS_ALL);
	tdm_terms_release(&a);
}

static void a_path_is_legal_and_the_best(void **state) {
	float scores[4][TDM_N_TAGS] = {{0}}, next[TDM_N_TAGS][TDM_N_TAGS] = {{0}};
	uint8_t tags[4];
	int b = tdm_tag_of(TDM_TAG_B, TDM_TAG_ORG), in = tdm_tag_of(TDM_TAG_I, TDM_TAG_ORG);
	int last = tdm_tag_of(TDM_TAG_L, TDM_TAG_ORG), single = tdm_tag_of(TDM_TAG_U, TDM_TAG_PER);
	scores[1][b] = 1;
	scores[2][in] = 5; // alone it cannot stand: B and L come with it
	scores[0][single] = .5f;
	tdm_tagger_path((const float(*)[TDM_N_TAGS])scores, 4, (const float(*)[TDM_N_TAGS])next, tags);
	assert_int_equal(tags[0], single);
	assert_int_equal(tags[1], b);
	assert_int_equal(tags[2], in);
	assert_int_equal(tags[3], last);
	for (int t = 0; t < TDM_N_TAGS; t++)
		assert_int_equal(tdm_tag_follows(t, TDM_N_TAGS), t == 0 || tdm_tag_position(t) >= TDM_TAG_L);
	assert_false(tdm_tag_follows(b, TDM_TAG_O));
	assert_false(tdm_tag_follows(b, tdm_tag_of(TDM_TAG_L, TDM_TAG_PER)));
}

static void lists_miss_nothing_that_was_added(void **state) {
	enum { N = 2000, BLOCKS = N * 12 / 512 + 1 };
	uint8_t *blocks = calloc(BLOCKS, TDM_GAZETTEER_BLOCK);
	struct tdm_gazetteer g = {blocks, BLOCKS};
	int by_mistake = 0;
	for (uint64_t i = 0; i < N; i++)
		tdm_gazetteer_add(blocks, BLOCKS, TDM_LIST_CITY, tdm_term_mix(i));
	for (uint64_t i = 0; i < N; i++)
		assert_true(tdm_gazetteer_find(&g, tdm_term_mix(i)) >> TDM_LIST_CITY & 1);
	for (uint64_t i = N; i < 11 * N; i++)
		by_mistake += tdm_gazetteer_find(&g, tdm_term_mix(i)) >> TDM_LIST_CITY & 1;
	assert_true(by_mistake < 10 * N / 20);
	free(blocks);
	assert_int_equal(tdm_gazetteer_find(&(struct tdm_gazetteer){0}, 1), 0);
}

static void assert_refused(const void *data, size_t n, const char *why) {
	struct tdm_tagger t;
	struct tdm_error error = {0};
	assert_int_equal(tdm_tagger_read(data, n, "bad.bin", &t, &error), TDM_EFORMAT);
	if (!strstr(error.text, why))
		fail_msg("\"%s\" says nothing of \"%s\"", error.text, why);
}

static void a_bad_file_of_weights_is_refused_with_one_sentence(void **state) {
	struct tdm_bytes file;
	struct tdm_error error = {0};
	struct tdm_tagger t;
	assert_int_equal(tdm_file_read(WEIGHTS, TDM_TAGGER_LIMIT_BYTES, &file, &error), TDM_OK);
	assert_refused("", 0, "weights of a tagger");
	assert_refused(file.data, 100, "weights of a tagger");
	assert_refused(file.data, file.len - 1, "as many bytes");
	file.data[2000] ^= 1;
	assert_refused(file.data, file.len, "damaged");
	file.data[8] = 77;
	assert_refused(file.data, file.len, "as many bytes");
	file.data[0] = 'X';
	assert_refused(file.data, file.len, "weights of a tagger");
	tdm_bytes_release(&file);
	assert_int_equal(tdm_tagger_open("/nonexistent", &t, &error), TDM_EIO);
}

static void weights_are_written_as_they_were_read(void **state) {
	struct tdm_bytes file, again;
	assert_int_equal(tdm_file_read(WEIGHTS, TDM_TAGGER_LIMIT_BYTES, &file, NULL), TDM_OK);
	tdm_bytes_init(&again, TDM_TAGGER_LIMIT_BYTES);
	assert_int_equal(tdm_tagger_write(&tagger, &again), TDM_OK);
	assert_int_equal(again.len, file.len);
	assert_memory_equal(again.data, file.data, file.len);
	tdm_bytes_release(&file);
	tdm_bytes_release(&again);
}

struct list {
	const char *text;
	struct tdm_bytes out;
};

static int on_street(void *arg, const struct tdm_term *first, const struct tdm_term *last) {
	struct list *l = arg;
	tdm_bytes_puts(&l->out, l->out.len ? "|" : "");
	tdm_bytes_add(&l->out, l->text + first->start, last->end - first->start);
	return TDM_OK;
}

static void assert_streets(const char *text, const char *expected) {
	struct list l = {.text = text};
	struct tdm_terms terms = {0};
	tdm_bytes_init(&l.out, 4096);
	assert_int_equal(tdm_terms_cut(text, strlen(text), &terms, NULL), TDM_OK);
	tdm_gazetteer_mark(&tagger.lists, text, terms.items, terms.n);
	assert_int_equal(tdm_street_find(text, &terms, on_street, &l), TDM_OK);
	if (strcmp(l.out.data ? l.out.data : "", expected) != 0)
		fail_msg("\"%s\": \"%s\", not \"%s\"", text, l.out.data ? l.out.data : "", expected);
	tdm_bytes_release(&l.out);
	tdm_terms_release(&terms);
}

static void addresses_of_many_countries_are_found_whole(void **state) {
	static const char *const whole[] = {
	    "742 Evergreen Terrace, Springfield, IL 62704",
	    "12 Oak St, Apt 4B, Portland, OR 97201-1234",
	    "1600 Martin Luther King Jr. Blvd, Suite 200",
	    "99 W 5th Street",
	    "221B Baker Street, London NW1 6XE",
	    "14 Church Lane, Leeds LS1 4AP",
	    "12 rue de la Paix, 75002 Paris",
	    "8, avenue Foch",
	    "Hauptstraße 12, 10115 Berlin",
	    "Keizersgracht 123, 1015 CJ Amsterdam",
	    "Via Garibaldi 12, 20121 Milano",
	    "Calle Mayor, 5, 28013 Madrid",
	    "ul. Długa 5",
	    "Storgatan 14, Stockholm",
	    "PO Box 1234, Austin, TX 78701",
	    "P.O. Box 77",
	    "Postfach 10 20",
	    "12 Elm Road\nUnit 5\nToronto\nON M5V 2T6\nCanada",
	    "742 evergreen terrace",
	    "12 Broadway, Apt 3",
	    "2 14 Church Lane, Leeds",
	    "Apt. 864",
	    "Unit 3821 Box 52\nAPO AE 09012",
	    "1600 Amphitheatre, Mountain View, CA 94043",
	    "Husova 5, 110 00 Praha",
	    "8 Lindenhofweg, 8001 Zürich",
	    "Laugavegur 12, 101 Reykjavik",
	    "Þverbrekka 98\n210 Garðabær\nIceland",
	    "61 Vallarnäs Apt. 9\nNyköping\n, SE\nSweden 611 35",
	    "12 rua do ouro, 4000-123 porto",
	    "ul. Polna 42/7\n61-755 Poznań",
	    "Kapelaniestraat 113\nBreda\nNetherlands",
	    "4 Iolkou\nNicosia\nCyprus",
	    "Via Nazario Sauro, 133\n20090 Segrate (MI",
	    "14 lower bridge st, unit 9, portland, or 97201",
	    "40 rue victor hugo, la petite ville, 78700",
	    "ul. polna 42, zielona dolina, 65-119",
	};
	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
		assert_streets(whole[i], whole[i]);
	assert_streets("send it to 12 Oak Street, please", "12 Oak Street");
	assert_streets("at 12:30 Main Street", "Main Street"); // the number is a time
	assert_streets("my zip code is 90210", "90210");
	assert_streets("She moved to Springfield, IL 62704 in May", "Springfield, IL 62704");
}

static void other_numbers_are_no_addresses(void **state) {
	static const char *const none[] = {
	    "3 people on the street",
	    "It took 10 minutes drive",
	    "2 ways to do it",
	    "In 2019 Berlin was cold",
	    "version 1.2.3",
	    "100 dollars a day",
	    "Section 12 Park closed",
	    "box 12",
	    "In 1999 Smith, London was",
	    "Windows 10 and Word",
	    "May 5, London",
	    "at 12:30 on Main",
	    "",
	    "5 of the drive letters",
	    "I have 2 courts",
	};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_streets(none[i], "");
}

// What the detector hides of the text, in brackets.
static void assert_hidden(int level, float bias, const char *text, const char *expected) {
	struct tdm_arena arena;
	struct tdm_error error = {0};
	struct tdm_detector detector = {.scanner = shared_scanner(), .tagger = tagger, .bias = bias};
	struct tdm_text item = {.text = text, .n = strlen(text)};
	struct tdm_finds finds = {0};
	struct tdm_dictionary protect = {0};
	struct tdm_bytes out;
	size_t at = 0;
	tdm_arena_init(&arena, 64 << 20);
	tdm_bytes_init(&out, 4096);
	assert_int_equal(tdm_detect(&detector, &arena, &item, 1, level, &finds, &protect, &error), TDM_OK);
	for (size_t i = 0; i < finds.n; i++) {
		tdm_bytes_add(&out, text + at, finds.items[i].start - at);
		tdm_bytes_printf(&out, "[%s]", finds.items[i].entity->id);
		at = finds.items[i].end;
	}
	tdm_bytes_puts(&out, text + at);
	if (strcmp(out.data, expected) != 0)
		fail_msg("\"%s\", not \"%s\"", out.data, expected);
	tdm_bytes_release(&out);
	tdm_arena_release(&arena);
}

static void persons_are_hidden_at_level_2_and_places_at_3(void **state) {
	const char *text = "My name is John Smith, I work for Barclays in Manchester.";
	assert_hidden(1, 0, text, text);
	assert_hidden(2, 0, text, "My name is [PERSON], I work for Barclays in Manchester.");
	assert_hidden(3, 0, text, "My name is [PERSON], I work for [ORG] in [PLACE].");
}

// What a recogniser took, who asks and what is asked for is no part of a name.
static void a_name_is_no_more_than_a_name(void **state) {
	assert_hidden(2, 0, "mail o'brien+x@example.org or again a@example.org", "mail [EMAIL] or again [EMAIL]");
	assert_hidden(2, 0, "Write Clara Keller a message.", "Write [PERSON] a message.");
	assert_hidden(2, -80, "Lena to email Karen O'Neil at once", "[PERSON] to email [PERSON] at once");
	assert_hidden(2, -80, "my e-mail is here, and my IBAN", "my e-mail is here, and my IBAN");
	// small words of a sentence that begins with a capital
	assert_hidden(2, -80, "How many centimetres are 32 metres?", "How many centimetres are 32 metres?");
	assert_hidden(2, -80, "Reverse: snow ocean moon iron chair stone", "Reverse: snow ocean moon iron chair stone");
	assert_hidden(2, -80, "Please write to maria gonzalez about it.", "Please write to [PERSON] about it.");
	assert_hidden(2, -80, "small: {model: \"big\"}, run `echo` and settings.yaml",
	              "small: {model: \"big\"}, run `echo` and settings.yaml");
	assert_hidden(2, -80, "{\"Sarah Miller\": 5}", "{\"[PERSON]\": 5}");
	assert_hidden(2, -80, "SELECT u.email FROM users u, and john.smith wrote it",
	              "SELECT u.email FROM users u, and [PERSON] wrote it");
	assert_hidden(2, -80, ".nav-item:hover <div id=\"main-nav\">", ".nav-item:hover <div id=\"main-nav\">");
	assert_hidden(2, -80, "Translate to German: \"Dear Mr. Kowalski\"", "Translate to German: \"Dear [PERSON]\"");
	assert_hidden(3, -80, "Translate to Thai: \"Dear Mr. Kowalski\"", "Translate to [GROUP]: \"Dear [PERSON]\"");
}

static void small_letters_hide_no_name(void **state) {
	assert_hidden(2, 0, "hi, my name is oluwaseun adebayo and i need help", "hi, my name is [PERSON] and i need help");
	assert_hidden(2, 0, "Dear Mr. O'Brien,", "Dear [PERSON],");
}

static void a_name_is_hidden_again_and_so_are_its_parts(void **state) {
	assert_hidden(2, 0, "My name is Oluwaseun Adebayo.\nlater the word adebayo, and Adebayo's",
	              "My name is [PERSON].\nlater the word [PERSON], and [PERSON]'s");
}

static void common_words_months_and_products_stay(void **state) {
	const char *text = "Please install Docker and Python in March, then check the report on Monday.";
	assert_hidden(2, 0, text, text);
	assert_hidden(3, 0, text, "Please install Docker and Python in [DATE], then check the report on [DATE].");
	assert_hidden(2, -10, "Monday\nMarch\nPython", "Monday\nMarch\nPython");
	assert_hidden(3, -1000, "12 345 6789", "12 345 6789"); // numbers are never names
}

static void corners_codes_and_flats_are_addresses(void **state) {
	assert_hidden(2, 0, "We met at the corner of Oak Street and Pine Avenue.", "We met at [ADDRESS].");
	assert_hidden(2, 0, "the corner of 12 Elm Road and Hauptstr. 5, please", "[ADDRESS], please");
	assert_hidden(2, 0, "at the intersection of elm and main", "at [ADDRESS]");
	assert_hidden(2, 0, "pizza near 90210, or in 10115", "pizza near [ADDRESS], or in [ADDRESS]");
	assert_hidden(2, 0, "in 10000 steps, the corner of the box and the lid",
	              "in 10000 steps, the corner of the box and the lid");
	assert_hidden(2, 0, "Hauptstr. 12 top 5", "[ADDRESS]");
}

static void a_word_of_another_script_is_hidden(void **state) {
	assert_hidden(2, 0, "please write to 张伟 today", "please write to [PERSON] today");
	assert_hidden(2, 0, "the angle α is small", "the angle α is small");
}

static void words_of_programs_stay(void **state) {
	const char *text =
	    "def largest_divisor(n):\n    maxlen = len(lst)\n    elem2 += is_prime(n)\n    return txt.split()\n";
	assert_hidden(2, -80, text, text);
	assert_hidden(2, -80, "# for Oluwaseun Adebayo\nmaxlen = len(lst)", "# for [PERSON]\nmaxlen = len(lst)");
}

// Scripts with blanks between words: titles, words that introduce a name, patronymics, initials.
static void persons_in_cyrillic_greek_and_arabic(void **state) {
	static const char *const rows[][2] = {
	    {"Меня зовут Иван Петров, и мне нужна помощь.", "Меня зовут [PERSON], и мне нужна помощь."},
	    {"меня зовут ольга смирнова и мне нужна помощь", "меня зовут [PERSON] и мне нужна помощь"},
	    {"ФИО: Лебедев Олег", "ФИО: [PERSON]"},
	    {"Με λένε Γιώργος Παπαδόπουλος και μένω εδώ.", "Με λένε [PERSON] και μένω εδώ."},
	    {"Ο κύριος Νικόλαος Δημητρίου ήρθε.", "Ο κύριος [PERSON] ήρθε."},
	    {"اسمي محمد الأحمد وأعيش هنا.", "اسمي [PERSON] وأعيش هنا."},
	    {"السيد خالد بن سعيد في المكتب.", "السيد [PERSON] في المكتب."},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_hidden(2, 1000, rows[i][0], rows[i][1]); // the bias leaves them to the cues
	assert_hidden(2, 1000, "Вчера приехал Сергей Николаевич Кузнецов.", "Вчера приехал [PERSON].");
	assert_hidden(2, 1000, "Это написал А. В. Соколов.", "Это написал [PERSON].");
	assert_hidden(2, 1000, "Как проверить новый договор и план работы?", "Как проверить новый договор и план работы?");
}

// Scripts without: a surname of the list before a title, or what stands behind the words for "my name is".
static void persons_in_han_kana_and_hangul(void **state) {
	static const char *const rows[][2] = {
	    {"我叫张伟，今年三十岁。", "我叫[PERSON]，今年三十岁。"},
	    {"请联系王小明先生或者李女士。", "请联系[PERSON]先生或者[PERSON]女士。"},
	    {"姓名：欧阳娜娜 电话", "姓名：[PERSON] 电话"},
	    {"我是学生。我是刘德华。", "我是学生。我是[PERSON]。"},
	    {"私の名前は田中太郎です。", "私の名前は[PERSON]です。"},
	    {"佐藤さんと鈴木花子様が来ました。お客様は皆さん元気です。",
	     "[PERSON]さんと[PERSON]様が来ました。お客様は皆さん元気です。"},
	    {"リンダさんは氏名：山田花子", "[PERSON]さんは氏名：[PERSON]"},
	    {"私は学生です。私は高橋一郎と申します。", "私は学生です。私は[PERSON]と申します。"},
	    {"제 이름은 김민수입니다.", "제 이름은 [PERSON]입니다."},
	    {"이영희 씨는 어제 왔습니다. 박지성님께 보냅니다.", "[PERSON] 씨는 어제 왔습니다. [PERSON]님께 보냅니다."},
	    {"저는 변호사입니다. 저는 최수진입니다.", "저는 변호사입니다. 저는 [PERSON]입니다."},
	    {"성명: 홍길동", "성명: [PERSON]"},
	    {"선생님, 고객님 안녕하세요. 아저씨가 왔다.", "선생님, 고객님 안녕하세요. 아저씨가 왔다."},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_hidden(2, 1000, rows[i][0], rows[i][1]);
}

// The name of a column says what its cells hold; "Name" alone does so beside a column about people.
static void columns_of_tables_name_their_cells(void **state) {
	static const char *const rows[][2] = {
	    {"Name | SSN | Order\n--- | --- | ---\nAnn Lee | 536904399 | 12345678\n",
	     "Name | SSN | Order\n--- | --- | ---\n[PERSON] | [US_SSN] | 12345678\n"},
	    {"first_name,lastName,phoneNumber,notes\nwill,stone,5552671,called\n",
	     "first_name,lastName,phoneNumber,notes\n[PERSON],[PERSON],[PHONE],called\n"},
	    {"Patient\tMRN\n\"Green, Joy\"\t7741223\nn/a\t9938112", "Patient\tMRN\n\"[PERSON]\"\t[MRN]\nn/a\t[MRN]"},
	    {"Name | Type | Default\n---|---|---\nwill | integer | 30000000\n",
	     "Name | Type | Default\n---|---|---\nwill | integer | 30000000\n"},
	    {"I can, of course, call\nyou may, of course, write", "I can, of course, call\nyou may, of course, write"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_hidden(2, 40, rows[i][0], rows[i][1]);
	assert_hidden(3, 40, "Age;Email\n34;a@b.org\n", "Age;Email\n[AGE];[EMAIL]\n");
	assert_hidden(2, 40, "a,b\nc,d\n\nSurname;Code\nwill;7\n", "a,b\nc,d\n\nSurname;Code\n[PERSON];7\n");
}

static void other_languages_keep_their_words(void **state) {
	static const char *const none[] = {
	    "Die Sprecherin der Regierung erklärte, dass die neue Verordnung bald kommt.",
	    "Offensichtlich weiß der Sprecher nicht, wie lange das dauern wird, und wartet auf die Kühe.",
	    "Veuillez résumer le rapport de la commission sur la situation économique avant jeudi.",
	    "El gobierno anunció que las nuevas medidas para la vivienda entrarán en vigor mañana.",
	    "De regering heeft niet besloten of het nieuwe plan nog dit jaar wordt ingevoerd.",
	};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_hidden(2, -80, none[i], none[i]);
	assert_hidden(2, -80, "Ich heiße Heinz Winkler. Bitte schreiben Sie das an Frau Özdemir und nicht an mich.",
	              "Ich heiße [PERSON]. Bitte schreiben Sie das an [PERSON] und nicht an mich.");
	assert_hidden(2, -80, "Je m'appelle Jean Dupont et je travaille avec Madame Kowalczyk.",
	              "Je m'appelle [PERSON] et je travaille avec [PERSON].");
	assert_hidden(2, -80, "Mijn naam is Pieter de Vries en ik woon niet in het centrum.",
	              "Mijn naam is [PERSON] en ik woon niet in het centrum.");
}

static size_t hidden_at(float bias) {
	static const char text[] =
	    "ask the wolf in harbour street about barclays or jane, then call Mark and the bright team";
	size_t n = 0;
	struct tdm_arena arena;
	struct tdm_detector detector = {.scanner = shared_scanner(), .tagger = tagger, .bias = bias};
	struct tdm_text item = {.text = text, .n = strlen(text)};
	struct tdm_finds finds = {0};
	struct tdm_dictionary protect = {0};
	tdm_arena_init(&arena, 64 << 20);
	assert_int_equal(tdm_detect(&detector, &arena, &item, 1, 3, &finds, &protect, NULL), TDM_OK);
	for (size_t i = 0; i < finds.n; i++)
		n += finds.items[i].end - finds.items[i].start;
	tdm_arena_release(&arena);
	return n;
}

static void a_lower_bias_hides_more(void **state) {
	size_t few = hidden_at(40), some = hidden_at(0), many = hidden_at(-200);
	assert_true(few <= some);
	assert_true(some < many);
}

int tdm_test_names(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(texts_are_cut_into_words_and_signs),
	    cmocka_unit_test(small_letters_have_the_same_hash),
	    cmocka_unit_test(a_path_is_legal_and_the_best),
	    cmocka_unit_test(lists_miss_nothing_that_was_added),
	    cmocka_unit_test(a_bad_file_of_weights_is_refused_with_one_sentence),
	    cmocka_unit_test(weights_are_written_as_they_were_read),
	    cmocka_unit_test(addresses_of_many_countries_are_found_whole),
	    cmocka_unit_test(other_numbers_are_no_addresses),
	    cmocka_unit_test(persons_are_hidden_at_level_2_and_places_at_3),
	    cmocka_unit_test(a_name_is_no_more_than_a_name),
	    cmocka_unit_test(small_letters_hide_no_name),
	    cmocka_unit_test(a_name_is_hidden_again_and_so_are_its_parts),
	    cmocka_unit_test(common_words_months_and_products_stay),
	    cmocka_unit_test(corners_codes_and_flats_are_addresses),
	    cmocka_unit_test(a_word_of_another_script_is_hidden),
	    cmocka_unit_test(words_of_programs_stay),
	    cmocka_unit_test(other_languages_keep_their_words),
	    cmocka_unit_test(persons_in_cyrillic_greek_and_arabic),
	    cmocka_unit_test(persons_in_han_kana_and_hangul),
	    cmocka_unit_test(columns_of_tables_name_their_cells),
	    cmocka_unit_test(a_lower_bias_hides_more),
	};
	return cmocka_run_group_tests_name("names", tests, open_weights, close_weights);
}
