// Cues: see cues.h. Linear: every cue looks at a few words, or characters, beside it.
#include "privacy/detect/cues.h"
#include "base/text.h"
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

struct search {
	const char *text;
	const struct tdm_terms *terms;
	tdm_cues_fn *found;
	void *arg;
};

// --- scripts with blanks between words

#define WORD_BYTES 48

// The words that stand before a name: two of them apart by '_'. Behind the strong ones it may have small letters.
static const char strong[] =
    " меня_зовут мене_звати мое_имя моё_имя казвам_се зовем_се господин госпожа г-н г-жа пан пані пани "
    "με_λένε ονομάζομαι λέγομαι μου_είναι κύριος κύριε κυρία κύριο κος κα "
    "اسمي إسمي أسمي يدعى تدعى السيد السيدة الآنسة الدكتور الدكتورة د الأستاذ الأستاذة الاستاذ المهندس المهندسة الشيخ "
    "المحامي "
    "المريض المريضة العميل العميلة الموظف الموظفة الاسم الكامل عزيزي عزيزتي آقای خانم دکتر نام_من اسم_من ";
static const char weak[] =
    " имя имени фио ф.и.о фамилия гражданин гражданка гр доктор доктора доктору д-р профессор проф пациент пациентка "
    "пациента клиент клиентка клиента заказчик сотрудник сотрудница получатель отправитель уважаемый уважаемая дорогой "
    "дорогая шановний шановна товарищ капитан директор адвокат судья господина госпожу госпоже господину уважением "
    "повагою подпись автор κ δρ καθηγητής καθηγήτρια όνομα ονοματεπώνυμο επώνυμο ασθενής πελάτης πελάτισσα αγαπητέ "
    "αγαπητή εκτίμηση δικηγόρος γιατρός υπογραφή ";
static const char no_names[] =
    " и а но не из от по на во со для что как это он она мы вы они я ты в с у о і й та що не є "
    "και από στο στη στην στον είναι το τα η ο οι να θα που με για σε εγώ μένω "
    "و في من على إلى الى عن مع أنا انا هو هي التي الذي كان كانت قد قال قالت يعمل تعمل يسكن تسكن وأنا وانا أعيش وأعيش "
    "أعمل "
    "وأعمل واعمل ورقم ورقمي رقم أسكن وأسكن اسكن عمري وعمري هذا هذه هل أن ان است هستم را به در که از ";
static const char goes_on[] = " عبد بن ابن بنت أبو ابو أبي آل ال عبدالله ";

enum { STRONG = 1, WEAK = 2, NO_NAME = 4, GOES_ON = 8 };

static struct {
	uint64_t key;
	uint8_t what;
} known[1024];                     // of the lists above, filled once
static uint8_t han_first[1 << 16]; // 1: a cue of Han and Kana may begin with this character
static pthread_once_t once = PTHREAD_ONCE_INIT;

static size_t slot_of(uint64_t key) {
	size_t at = tdm_term_mix(key) % (sizeof known / sizeof *known);
	while (known[at].what && known[at].key != key)
		at = (at + 1) % (sizeof known / sizeof *known);
	return at;
}

static uint64_t pair_of(uint64_t first, uint64_t second) {
	return tdm_term_mix(first * 3 + second);
}

static void add_words(const char *list, uint8_t what) {
	for (const char *p = list + 1; *p; p += strcspn(p, " ") + 1) {
		size_t n = strcspn(p, " "), first = strcspn(p, "_ ");
		uint64_t key = tdm_term_hash(p, first);
		if (first < n)
			key = pair_of(key, tdm_term_hash(p + first + 1, n - first - 1));
		size_t at = slot_of(key);
		known[at].key = key;
		known[at].what |= what;
	}
}

static uint8_t what_is(uint64_t key) {
	return known[slot_of(key)].what;
}

// The word in small letters; 0 when it is too long.
static size_t small_word(const struct search *s, const struct tdm_term *t, char out[WORD_BYTES + 4]) {
	size_t n = 0;
	uint32_t c;
	if (t->end - t->start > WORD_BYTES)
		return 0;
	for (size_t i = t->start; i < t->end && n <= WORD_BYTES;) {
		i += tdm_utf8_next(s->text + i, t->end - i, &c);
		n += tdm_utf8_put(out + n, tdm_char_lower(c));
	}
	return n;
}

static bool has_blanks(const struct tdm_term *t) { // its script
	return t->letters &&
	       (t->script == TDM_SCRIPT_CYRILLIC || t->script == TDM_SCRIPT_GREEK || t->script == TDM_SCRIPT_ARABIC);
}

static bool has_capitals(const struct tdm_term *t) {
	return t->script != TDM_SCRIPT_ARABIC;
}

static bool may_be_name(const struct tdm_term *t, bool small) {
	if (!has_blanks(t) || t->digits || (has_capitals(t) && !small && t->caps == TDM_CAPS_NONE))
		return false;
	return (t->letters > 1 || t->caps) && !(what_is(t->lower) & NO_NAME);
}

static const struct tdm_term *end_of(const struct search *s) {
	return s->terms->items + s->terms->n;
}

static bool is_dot(const struct search *s, const struct tdm_term *t) {
	return t < end_of(s) && t->letters == 0 && s->text[t->start] == '.';
}

// The last word of the name that begins at `first`, at most three words; in small letters two.
static const struct tdm_term *name_end(const struct search *s, const struct tdm_term *first) {
	const struct tdm_term *last = first, *t = first + 1;
	bool small = has_capitals(first) && first->caps == TDM_CAPS_NONE;
	for (int n = 1, most = small || !has_capitals(first) ? 2 : 3; n < most; n++) {
		if (last->letters == 1 && is_dot(s, t)) // an initial
			t++;
		if (t >= end_of(s) || t->line || t->script != first->script || !may_be_name(t, small))
			break;
		most += (what_is(t->lower) & GOES_ON) && most < 5;
		last = t++;
	}
	return last;
}

static int tell(const struct search *s, const struct tdm_term *first, const struct tdm_term *last) {
	return s->found(s->arg, first, last, first->start, last->end);
}

// The name behind the cue that ends with t.
static int name_behind(const struct search *s, const struct tdm_term *t, bool small) {
	const struct tdm_term *first = t + 1;
	bool colon = false;
	for (int signs = 0; first < end_of(s) && first->letters == 0 && first->digits == 0 && signs < 2; signs++, first++) {
		char c = s->text[first->start];
		colon = colon || c == ':';
		if (!strchr(".:,\"", c) && (unsigned char)c < 0x80)
			return TDM_OK;
	}
	if (first >= end_of(s) || first->script != t->script || !may_be_name(first, small || colon))
		return TDM_OK;
	return tell(s, first, name_end(s, first));
}

static bool ends_with(const char *word, size_t n, const char *end) {
	size_t k = strlen(end);
	return n > k + 2 && memcmp(word + n - k, end, k) == 0;
}

static bool is_patronymic(const char *word, size_t n) {
	static const char *const ends[] = {"ович",  "евич", "овна", "евна", "ична", "овича",
	                                   "евича", "овне", "евне", "івна", "йович"};
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (ends_with(word, n, ends[i]))
			return true;
	return false;
}

// The word before t, or behind it, in the same line and script; NULL when there is none.
static const struct tdm_term *word_before(const struct search *s, const struct tdm_term *t) {
	return t > s->terms->items && !t->line && t[-1].script == t->script && t[-1].letters ? t - 1 : NULL;
}

static const struct tdm_term *word_behind(const struct search *s, const struct tdm_term *t) {
	return t + 1 < end_of(s) && !t[1].line && t[1].script == t->script && t[1].letters ? t + 1 : NULL;
}

// A patronymic stands between the first name and the surname, or ends the name: "Иванов Иван Иванович".
static int around_patronymic(const struct search *s, const struct tdm_term *t) {
	const struct tdm_term *first = word_before(s, t), *last = word_behind(s, t);
	bool small = t->caps == TDM_CAPS_NONE;
	if (!first || !may_be_name(first, small))
		return TDM_OK;
	const struct tdm_term *family = small ? NULL : word_before(s, first);
	if (family && family->caps && may_be_name(family, false))
		first = family;
	return tell(s, first, last && last->caps && may_be_name(last, false) ? last : t);
}

static bool is_surname(const struct tdm_term *t) {
	return t && t->letters > 2 && t->caps == TDM_CAPS_FIRST;
}

// "И. И. Иванов", "Иванов И.И.": t is the first initial, with its dot.
static int around_initials(const struct search *s, const struct tdm_term *t) {
	const struct tdm_term *last = t, *second, *before = word_before(s, t);
	if (t + 2 < end_of(s) && t[2].script == t->script && t[2].letters == 1 && t[2].caps && is_dot(s, t + 3))
		last = t + 2;
	second = last + 2 < end_of(s) && !last[2].line && last[2].script == t->script ? last + 2 : NULL;
	if (is_surname(second))
		return tell(s, t, second);
	return is_surname(before) ? tell(s, before, last) : TDM_OK;
}

static int at_word(const struct search *s, const struct tdm_term *t) {
	char word[WORD_BYTES + 4];
	const struct tdm_term *first = word_before(s, t);
	unsigned what = what_is(t->lower) | (first ? what_is(pair_of(first->lower, t->lower)) : 0u);
	int status = what & (STRONG | WEAK) ? name_behind(s, t, what & STRONG) : TDM_OK;
	if (status == TDM_OK && t->script == TDM_SCRIPT_CYRILLIC && t->letters > 5 &&
	    is_patronymic(word, small_word(s, t, word)))
		status = around_patronymic(s, t);
	bool initial = t->letters == 1 && t->caps && has_capitals(t) && is_dot(s, t + 1);
	return status == TDM_OK && initial ? around_initials(s, t) : status;
}

// --- Han and Kana: no blanks; a name is told from what stands around it by its surname

#define MOST_CHARACTERS 8

// Surnames of one character in China, Taiwan and Korea, and of more there and in Japan.
static const char surnames[] = "王李张張刘劉陈陳杨楊黄黃赵趙吴吳周徐孙孫马馬朱胡郭何高林罗羅郑鄭梁谢謝宋唐许許韩韓冯馮"
                               "邓鄧曹彭曾肖萧蕭田董潘袁蔡蒋蔣余于"
                               "杜叶葉程魏苏蘇吕呂丁任卢盧姚沈钟鍾鐘姜崔谭譚陆陸范汪廖石金韦韋贾賈夏付傅方邹鄒熊白孟秦"
                               "邱侯江尹薛阎閻段雷龙龍黎史陶贺賀毛郝"
                               "顾顧龚龔邵万萬覃武钱錢戴严嚴莫孔向常";
static const char long_surnames[] = " 欧阳 歐陽 司马 司馬 诸葛 諸葛 上官 夏侯 慕容 司徒 佐藤 鈴木 高橋 田中 伊藤 渡辺 "
                                    "渡邉 渡邊 山本 中村 小林 加藤 吉田 山田 佐々木 "
                                    "山口 松本 井上 木村 斎藤 斉藤 齋藤 清水 山崎 池田 橋本 阿部 石川 山下 中島 石井 "
                                    "小川 前田 岡田 長谷川 藤田 後藤 近藤 村上 遠藤 青木 "
                                    "坂本 福田 太田 西村 藤井 金子 岡本 藤原 中野 三浦 原田 中川 松田 竹内 小野 田村 "
                                    "中山 和田 石田 森田 上田 内田 柴田 酒井 宮崎 横山 "
                                    "高木 安藤 宮本 大野 小島 谷口 工藤 今井 高田 丸山 増田 杉山 村田 大塚 新井 小山 "
                                    "平野 藤本 河野 上野 野口 武田 松井 千葉 菅原 岩崎 "
                                    "久保 木下 佐野 野村 松尾 菊地 市川 ";
// Behind the name, and before it. Behind the loose ones a surname of the list must begin.
static const char han_titles[] = " 先生 女士 小姐 太太 教授 医生 醫生 老师 老師 经理 經理 律师 律師 博士 同学 同學 "
                                 "主任 总监 さん 様 氏 君 ちゃん 殿 ";
static const char han_cues[] = " 我叫 名叫 叫做 名字是 名字叫 姓名: 姓名是 联系人: 聯絡人: 收件人: 寄件人: 患者: 病人: "
                               "客户: 客戶: 签名: 名前は 氏名: 氏名は お名前: 名前: "
                               "申請者: 担当: 担当者: 顧客: ";
static const char loose_cues[] = " 我是 亲爱的 親愛的 尊敬的 致 私は 僕は 俺は ";
static const char not_given[] = "的是在住和今来來年有想需家也就说說去到了与與跟为為会會我你他她您们們";
static const char after_name[] = " です と申 といい と言い だ である でござ ";

static size_t character(const char *t, size_t n) { // its bytes
	uint32_t c;
	return n ? tdm_utf8_next(t, n, &c) : 0;
}

static size_t before(const char *t, size_t at, size_t least) { // where the character before text[at] begins
	do
		at--;
	while (at > least && (t[at] & 0xc0) == 0x80);
	return at;
}

static bool is_kanji(const char *t, size_t n) {
	uint32_t c = 0;
	tdm_utf8_next(t, n, &c);
	return c == 0x3005 || (c >= 0x3400 && c <= 0x9fff) || (c >= 0x20000 && c <= 0x323af);
}

static bool is_katakana(const char *t, size_t n) {
	uint32_t c = 0;
	tdm_utf8_next(t, n, &c);
	return c >= 0x30a1 && c <= 0x30fc;
}

static bool is_of(const char *set, const char *t, size_t n) { // the character at t, n bytes long
	for (size_t i = 0; n && set[i]; i += character(set + i, 4))
		if (strncmp(set + i, t, n) == 0)
			return true;
	return false;
}

// The longest of the words that text[at..end) begins with; its bytes, 0 when there is none.
static size_t begins(const char *words, const char *t, size_t at, size_t end) {
	size_t most = 0;
	for (const char *p = words + 1; *p;) {
		size_t n = strcspn(p, " ");
		if (n > most && n <= end - at && memcmp(p, t + at, n) == 0)
			most = n;
		p += n + (p[n] == ' ');
	}
	return most;
}

static size_t surname(const char *t, size_t at, size_t end) { // bytes of the one that begins here
	size_t n = begins(long_surnames, t, at, end), one = character(t + at, end - at);
	return n ? n : is_of(surnames, t + at, one) ? one : 0;
}

// The given name of a Chinese behind a surname: at most two characters.
static size_t given_end(const char *t, size_t at, size_t end) {
	for (int i = 0; i < 2 && at < end && is_kanji(t + at, end - at); i++) {
		size_t n = character(t + at, end - at);
		if (i && is_of(not_given, t + at, n))
			break;
		at += n;
	}
	return at;
}

// Where a name that begins at `at` ends: before the verb behind it, else as long as names are.
static size_t han_end(const char *t, size_t at, size_t end, bool loose) {
	size_t i = at, family = surname(t, at, end);
	for (int n = 0; i < end && n < MOST_CHARACTERS; n++, i += character(t + i, end - i))
		if (n > 1 && begins(after_name, t, i, end))
			return family || !loose ? i : at;
	if (family)
		return given_end(t, at + family, end);
	if (loose || !(is_kanji(t + at, end - at) || is_katakana(t + at, end - at)))
		return at;
	return i < end ? given_end(t, at + character(t + at, end - at), end) : i;
}

static int behind_han(const struct search *s, const struct tdm_term *t, size_t at, bool loose) {
	while (at < end_of(s)[-1].end && strchr(" :\"", s->text[at]))
		at++;
	while (t < end_of(s) && t->end <= at)
		t++;
	if (t == end_of(s) || t->start > at || t->letters == 0)
		return TDM_OK;
	size_t end = han_end(s->text, at, t->end, loose);
	return end > at ? s->found(s->arg, t, t, at, end) : TDM_OK;
}

// Where the characters of one sort that end at `end` begin, at most this many bytes.
static size_t run_before(const struct search *s, const struct tdm_term *t, size_t end, size_t most,
                         bool (*sort)(const char *, size_t)) {
	size_t at = end;
	while (at > t->start && end - at < most && sort(s->text + before(s->text, at, t->start), 4))
		at = before(s->text, at, t->start);
	return at;
}

// Where the surname begins that stands before `end` with at most three characters between; `end`: there is none.
static size_t surname_before(const struct search *s, const struct tdm_term *t, size_t end) {
	size_t start = end, first = run_before(s, t, end, 18, is_kanji);
	for (size_t at = first; at < end && start == end; at += character(s->text + at, end - at)) {
		size_t family = surname(s->text, at, end), given = end - at - family;
		if (family && given <= (family > 3 ? 9u : 6u))
			start = at;
	}
	return start;
}

// The name before a title at `end`: from its surname on; of katakana, and of what さん stands behind, the whole run.
static int before_title(const struct search *s, const struct tdm_term *t, size_t end, bool is_san) {
	const char *text = s->text;
	size_t start = surname_before(s, t, end);
	if (start == end)
		start = run_before(s, t, end, end, is_katakana);
	if (start == end && is_san) {
		start = run_before(s, t, end, 12, is_kanji);
		if (start < end && is_of("者師員客人母父様皆奥神", text + before(text, end, start), 3))
			return TDM_OK;
	}
	bool polite = start > t->start && is_of("おご皆", text + before(text, start, t->start), 3);
	return start < end && !polite ? s->found(s->arg, t, t, start, end) : TDM_OK;
}

static int in_han(const struct search *s, const struct tdm_term *t) {
	int status = TDM_OK;
	size_t end = t->end + (s->text[t->end] == ':');
	for (size_t at = t->start, n, step; at < t->end && status == TDM_OK; at += step) {
		uint32_t c;
		step = tdm_utf8_next(s->text + at, t->end - at, &c);
		if (c >= sizeof han_first || !han_first[c])
			continue;
		if ((n = begins(han_titles, s->text, at, t->end)) && at > t->start)
			status = before_title(s, t, at, memcmp(s->text + at, "さん", n < 6 ? n : 6) == 0);
		if (status == TDM_OK && (n = begins(han_cues, s->text, at, end)))
			status = behind_han(s, t, at + n, false);
		else if (status == TDM_OK && (n = begins(loose_cues, s->text, at, end)))
			status = behind_han(s, t, at + n, true);
	}
	return status;
}

// --- Hangul: syllables of three bytes, particles joined to the name

#define SYLLABLE 3

static const char korean_surnames[] =
    "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구민진나지엄원천방현함";
static const char korean_titles[] = " 씨 님 군 양 선생님 교수 교수님 박사 박사님 대표 대표님 과장 과장님 부장 부장님 "
                                    "팀장 팀장님 사장 사장님 회장 회장님 "
                                    "고객님 환자 환자분 변호사 변호사님 의사 기자 ";
static const char korean_cues[] = " 이름은 성함은 이름 성명 성함 환자 환자명 고객명 담당자 수신 수신인 받는사람 "
                                  "보내는사람 작성자 신청인 신청자 예금주 대표자 ";
static const char korean_ends[] = " 입니다 이에요 예요 이라고 라고 이고 이며 씨 님 씨는 씨가 씨의 씨를 씨에게 님은 "
                                  "님이 님의 님을 님께 은 는 이 가 의 을 를 에게 ";

static bool whole_term(const char *words, const struct search *s, const struct tdm_term *t) {
	return t->letters && tdm_among(words, s->text + t->start, t->end - t->start);
}

// Bytes of the name that a word begins with, less what is joined behind it: the longest ending of the list.
static size_t korean_name(const char *t, size_t n, const char *ends) {
	for (size_t k = SYLLABLE; ends && k + 2 * SYLLABLE <= n; k += SYLLABLE) {
		size_t rest = n - k;
		if (k >= 2 * SYLLABLE && tdm_among(ends, t + k, rest))
			return k;
	}
	return n;
}

static bool is_korean_name(const char *t, size_t n, bool family) {
	return n % SYLLABLE == 0 && n >= 2 * SYLLABLE && n <= 4 * SYLLABLE &&
	       (!family || is_of(korean_surnames, t, SYLLABLE));
}

static int tell_korean(const struct search *s, const struct tdm_term *t, size_t n) {
	return s->found(s->arg, t, t, t->start, t->start + n);
}

// "김민수씨는", "김민수님께": the title is joined to the name.
static int joined_title(const struct search *s, const struct tdm_term *t) {
	static const char titles[] = " 씨 씨는 씨가 씨의 씨를 씨에게 씨와 씨께서 님 님은 님이 님의 님을 님께 님께서 ";
	const char *word = s->text + t->start;
	size_t n = t->end - t->start;
	for (size_t k = 2 * SYLLABLE; k + SYLLABLE <= n && k <= 4 * SYLLABLE; k += SYLLABLE)
		if (tdm_among(titles, word + k, n - k) && is_of(korean_surnames, word, SYLLABLE) &&
		    (k == 3 * SYLLABLE || memcmp(word + k, "씨", SYLLABLE) == 0))
			return tell_korean(s, t, k);
	return TDM_OK;
}

// "저는 김민수입니다": three syllables, the first a surname, the last none that ends the name of a trade.
static int speaks_of_self(const struct search *s, const struct tdm_term *t) {
	static const char verbs[] = " 입니다 이라고 라고 이에요 예요 ";
	const char *word = s->text + t->start;
	size_t n = 3 * SYLLABLE;
	bool named = t->end - t->start > n && tdm_among(verbs, word + n, t->end - t->start - n);
	bool trade = named && is_of("사원인가자생수", word + 2 * SYLLABLE, SYLLABLE) && !is_of("김박최", word, SYLLABLE);
	return named && !trade && is_korean_name(word, n, true) ? tell_korean(s, t, n) : TDM_OK;
}

// A title alone, or "씨는" with what is joined behind it.
static bool is_korean_title(const struct search *s, const struct tdm_term *t) {
	const char *word = s->text + t->start;
	bool joined = t->end - t->start <= 4 * SYLLABLE && is_of("씨님", word, SYLLABLE) && t->script == t[-1].script;
	return whole_term(korean_titles, s, t) || (joined && tdm_among(korean_ends, word, t->end - t->start));
}

// The name in the word behind a cue.
static int behind_korean(const struct search *s, const struct tdm_term *t) {
	const struct tdm_term *next = t + 1;
	bool cue = whole_term(korean_cues, s, t), self = whole_term(" 저는 나는 제가 ", s, t);
	while (next < end_of(s) && next->letters == 0 && next->digits == 0 && s->text[next->start] == ':')
		next++;
	if ((!cue && !self) || next >= end_of(s) || next->script != t->script)
		return TDM_OK;
	if (self)
		return speaks_of_self(s, next);
	size_t name = korean_name(s->text + next->start, next->end - next->start, korean_ends);
	return is_korean_name(s->text + next->start, name, false) ? tell_korean(s, next, name) : TDM_OK;
}

static int in_hangul(const struct search *s, const struct tdm_term *t) {
	const struct tdm_term *next = t + 1;
	size_t n = t->end - t->start;
	int status = joined_title(s, t);
	if (status != TDM_OK || next >= end_of(s))
		return status;
	if (!next->line && is_korean_title(s, next) && is_korean_name(s->text + t->start, n, true))
		return tell_korean(s, t, n);
	return behind_korean(s, t);
}

bool tdm_cues_know(const struct tdm_term *term) {
	return term->letters && (term->script == TDM_SCRIPT_HAN || term->script == TDM_SCRIPT_HANGUL);
}

static void add_first(const char *list) {
	uint32_t c;
	for (const char *p = list + 1; *p; p += strcspn(p, " ") + 1)
		if (tdm_utf8_next(p, 4, &c) && c < sizeof han_first)
			han_first[c] = 1;
}

static void fill(void) {
	add_words(strong, STRONG);
	add_words(weak, WEAK);
	add_words(no_names, NO_NAME);
	add_words(goes_on, GOES_ON);
	add_first(han_titles);
	add_first(han_cues);
	add_first(loose_cues);
}

int tdm_cues_find(const char *text, const struct tdm_terms *terms, tdm_cues_fn *found, void *arg) {
	const struct search s = {text, terms, found, arg};
	int status = TDM_OK;
	pthread_once(&once, fill);
	for (size_t i = 0; i < terms->n && status == TDM_OK; i++) {
		const struct tdm_term *t = &terms->items[i];
		if (t->script == TDM_SCRIPT_HAN && t->letters)
			status = in_han(&s, t);
		else if (t->script == TDM_SCRIPT_HANGUL && t->letters)
			status = in_hangul(&s, t);
		else if (has_blanks(t))
			status = at_word(&s, t);
	}
	return status;
}
