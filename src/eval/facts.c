// The facts of the gym: a fixed table, and the questions about it.
//
// Every relation is asked in six phrasings, two per level; at level 3 a relation that can be turned round is asked the
// other way. One phrasing of every fact (chosen by the hash of the fact) is kept for tests, the other five are for
// training: every fact is seen, and no pair of fact and phrasing is in both.
// A new fact is one row; subject and object must be unique within a relation that can be turned round.
#include "eval/gym_draw.h"

struct pair {
	const char *subject, *object;
};

static const struct pair capitals[] = {
    {"France", "Paris"},
    {"Germany", "Berlin"},
    {"Spain", "Madrid"},
    {"Italy", "Rome"},
    {"Portugal", "Lisbon"},
    {"Austria", "Vienna"},
    {"Switzerland", "Bern"},
    {"Belgium", "Brussels"},
    {"Denmark", "Copenhagen"},
    {"Sweden", "Stockholm"},
    {"Norway", "Oslo"},
    {"Finland", "Helsinki"},
    {"Iceland", "Reykjavik"},
    {"Ireland", "Dublin"},
    {"Poland", "Warsaw"},
    {"Hungary", "Budapest"},
    {"Greece", "Athens"},
    {"Romania", "Bucharest"},
    {"Bulgaria", "Sofia"},
    {"Croatia", "Zagreb"},
    {"Serbia", "Belgrade"},
    {"Estonia", "Tallinn"},
    {"Latvia", "Riga"},
    {"Lithuania", "Vilnius"},
    {"Slovakia", "Bratislava"},
    {"Slovenia", "Ljubljana"},
    {"Albania", "Tirana"},
    {"Cyprus", "Nicosia"},
    {"Malta", "Valletta"},
    {"Turkey", "Ankara"},
    {"Egypt", "Cairo"},
    {"Morocco", "Rabat"},
    {"Algeria", "Algiers"},
    {"Tunisia", "Tunis"},
    {"Kenya", "Nairobi"},
    {"Ethiopia", "Addis Ababa"},
    {"Ghana", "Accra"},
    {"Nigeria", "Abuja"},
    {"Senegal", "Dakar"},
    {"Uganda", "Kampala"},
    {"Japan", "Tokyo"},
    {"China", "Beijing"},
    {"South Korea", "Seoul"},
    {"India", "New Delhi"},
    {"Pakistan", "Islamabad"},
    {"Bangladesh", "Dhaka"},
    {"Nepal", "Kathmandu"},
    {"Thailand", "Bangkok"},
    {"Vietnam", "Hanoi"},
    {"Mongolia", "Ulaanbaatar"},
    {"Iran", "Tehran"},
    {"Iraq", "Baghdad"},
    {"Jordan", "Amman"},
    {"Lebanon", "Beirut"},
    {"Qatar", "Doha"},
    {"Russia", "Moscow"},
    {"Australia", "Canberra"},
    {"New Zealand", "Wellington"},
    {"Canada", "Ottawa"},
    {"Cuba", "Havana"},
    {"Jamaica", "Kingston"},
    {"Brazil", "Brasilia"},
    {"Argentina", "Buenos Aires"},
    {"Chile", "Santiago"},
    {"Peru", "Lima"},
    {"Colombia", "Bogota"},
    {"Ecuador", "Quito"},
    {"Uruguay", "Montevideo"},
    {"Paraguay", "Asuncion"},
    {"Venezuela", "Caracas"},
};

static const struct pair currencies[] = {
    {"Japan", "yen"},         {"China", "yuan"},      {"India", "rupee"},      {"Poland", "zloty"},
    {"Hungary", "forint"},    {"Sweden", "krona"},    {"Denmark", "krone"},    {"Switzerland", "franc"},
    {"Russia", "rouble"},     {"Brazil", "real"},     {"Mexico", "peso"},      {"Turkey", "lira"},
    {"Israel", "shekel"},     {"Thailand", "baht"},   {"Vietnam", "dong"},     {"South Korea", "won"},
    {"South Africa", "rand"}, {"Kenya", "shilling"},  {"Nigeria", "naira"},    {"Ghana", "cedi"},
    {"Peru", "sol"},          {"Ukraine", "hryvnia"}, {"Georgia", "lari"},     {"Romania", "leu"},
    {"Germany", "euro"},      {"Canada", "dollar"},   {"Malaysia", "ringgit"}, {"Mongolia", "tugrik"},
    {"Bangladesh", "taka"},   {"Ethiopia", "birr"},
};

static const struct pair symbols[] = {
    {"hydrogen", "H"},   {"helium", "He"},   {"lithium", "Li"},   {"carbon", "C"},    {"nitrogen", "N"},
    {"oxygen", "O"},     {"fluorine", "F"},  {"neon", "Ne"},      {"sodium", "Na"},   {"magnesium", "Mg"},
    {"aluminium", "Al"}, {"silicon", "Si"},  {"phosphorus", "P"}, {"sulphur", "S"},   {"chlorine", "Cl"},
    {"argon", "Ar"},     {"potassium", "K"}, {"calcium", "Ca"},   {"titanium", "Ti"}, {"chromium", "Cr"},
    {"iron", "Fe"},      {"cobalt", "Co"},   {"nickel", "Ni"},    {"copper", "Cu"},   {"zinc", "Zn"},
    {"arsenic", "As"},   {"bromine", "Br"},  {"krypton", "Kr"},   {"silver", "Ag"},   {"tin", "Sn"},
    {"iodine", "I"},     {"xenon", "Xe"},    {"barium", "Ba"},    {"tungsten", "W"},  {"platinum", "Pt"},
    {"gold", "Au"},      {"mercury", "Hg"},  {"lead", "Pb"},      {"radium", "Ra"},   {"uranium", "U"},
};

static const struct pair authors[] = {
    {"Hamlet", "William Shakespeare"},
    {"Faust", "Johann Wolfgang von Goethe"},
    {"Don Quixote", "Miguel de Cervantes"},
    {"War and Peace", "Leo Tolstoy"},
    {"Crime and Punishment", "Fyodor Dostoevsky"},
    {"Emma", "Jane Austen"},
    {"Oliver Twist", "Charles Dickens"},
    {"Moby-Dick", "Herman Melville"},
    {"Dracula", "Bram Stoker"},
    {"Frankenstein", "Mary Shelley"},
    {"Ulysses", "James Joyce"},
    {"The Trial", "Franz Kafka"},
    {"The Stranger", "Albert Camus"},
    {"Animal Farm", "George Orwell"},
    {"The Hobbit", "J. R. R. Tolkien"},
    {"Jane Eyre", "Charlotte Bronte"},
    {"Wuthering Heights", "Emily Bronte"},
    {"Treasure Island", "Robert Louis Stevenson"},
    {"The Odyssey", "Homer"},
    {"The Aeneid", "Virgil"},
    {"The Divine Comedy", "Dante Alighieri"},
    {"Candide", "Voltaire"},
    {"Les Miserables", "Victor Hugo"},
    {"Madame Bovary", "Gustave Flaubert"},
    {"The Three Musketeers", "Alexandre Dumas"},
    {"Walden", "Henry David Thoreau"},
    {"The Great Gatsby", "F. Scott Fitzgerald"},
    {"The Jungle Book", "Rudyard Kipling"},
    {"Peter Pan", "J. M. Barrie"},
    {"Pinocchio", "Carlo Collodi"},
    {"Brave New World", "Aldous Huxley"},
    {"The Time Machine", "H. G. Wells"},
    {"A Doll's House", "Henrik Ibsen"},
    {"The Seagull", "Anton Chekhov"},
    {"Mrs Dalloway", "Virginia Woolf"},
};

static const struct pair planets[] = {
    {"Mercury", "first"}, {"Venus", "second"}, {"Earth", "third"},    {"Mars", "fourth"},
    {"Jupiter", "fifth"}, {"Saturn", "sixth"}, {"Uranus", "seventh"}, {"Neptune", "eighth"},
};

static const struct pair young[] = {
    {"dog", "puppy"},
    {"cat", "kitten"},
    {"cow", "calf"},
    {"sheep", "lamb"},
    {"horse", "foal"},
    {"pig", "piglet"},
    {"goat", "kid"},
    {"hen", "chick"},
    {"duck", "duckling"},
    {"goose", "gosling"},
    {"swan", "cygnet"},
    {"deer", "fawn"},
    {"bear", "cub"},
    {"frog", "tadpole"},
    {"owl", "owlet"},
    {"eagle", "eaglet"},
    {"kangaroo", "joey"},
    {"hare", "leveret"},
    {"butterfly", "caterpillar"},
};

static const struct pair continents[] = {
    {"France", "Europe"},
    {"Germany", "Europe"},
    {"Italy", "Europe"},
    {"Norway", "Europe"},
    {"Greece", "Europe"},
    {"Hungary", "Europe"},
    {"Japan", "Asia"},
    {"China", "Asia"},
    {"India", "Asia"},
    {"Vietnam", "Asia"},
    {"Nepal", "Asia"},
    {"Thailand", "Asia"},
    {"Egypt", "Africa"},
    {"Kenya", "Africa"},
    {"Nigeria", "Africa"},
    {"Ghana", "Africa"},
    {"Morocco", "Africa"},
    {"Senegal", "Africa"},
    {"Canada", "North America"},
    {"Mexico", "North America"},
    {"Cuba", "North America"},
    {"Jamaica", "North America"},
    {"Brazil", "South America"},
    {"Peru", "South America"},
    {"Chile", "South America"},
    {"Argentina", "South America"},
    {"Colombia", "South America"},
    {"Uruguay", "South America"},
};

static const struct pair languages[] = {
    {"Germany", "German"},    {"Spain", "Spanish"},     {"Italy", "Italian"},      {"Portugal", "Portuguese"},
    {"Brazil", "Portuguese"}, {"Japan", "Japanese"},    {"China", "Chinese"},      {"Russia", "Russian"},
    {"Poland", "Polish"},     {"Hungary", "Hungarian"}, {"Greece", "Greek"},       {"Turkey", "Turkish"},
    {"Sweden", "Swedish"},    {"Denmark", "Danish"},    {"Romania", "Romanian"},   {"Bulgaria", "Bulgarian"},
    {"Mexico", "Spanish"},    {"Argentina", "Spanish"}, {"Egypt", "Arabic"},       {"Iraq", "Arabic"},
    {"Iran", "Persian"},      {"Thailand", "Thai"},     {"Vietnam", "Vietnamese"}, {"Iceland", "Icelandic"},
    {"Australia", "English"},
};

static const struct pair opposites[] = {
    {"hot", "cold"},    {"big", "small"},     {"fast", "slow"},   {"high", "low"},       {"early", "late"},
    {"open", "closed"}, {"full", "empty"},    {"rich", "poor"},   {"strong", "weak"},    {"wet", "dry"},
    {"young", "old"},   {"light", "dark"},    {"happy", "sad"},   {"easy", "difficult"}, {"loud", "quiet"},
    {"clean", "dirty"}, {"thick", "thin"},    {"wide", "narrow"}, {"deep", "shallow"},   {"cheap", "expensive"},
    {"left", "right"},  {"north", "south"},   {"east", "west"},   {"first", "last"},     {"up", "down"},
    {"day", "night"},   {"summer", "winter"}, {"true", "false"},  {"push", "pull"},      {"win", "lose"},
};

static const struct pair numbers[] = {
    {"legs does a spider have", "8"},
    {"legs does an insect have", "6"},
    {"legs does a horse have", "4"},
    {"legs does a bird have", "2"},
    {"arms does an octopus have", "8"},
    {"days are in a week", "7"},
    {"months are in a year", "12"},
    {"hours are in a day", "24"},
    {"minutes are in an hour", "60"},
    {"seconds are in a minute", "60"},
    {"days are in a normal year", "365"},
    {"days are in a leap year", "366"},
    {"sides does a triangle have", "3"},
    {"sides does a square have", "4"},
    {"sides does a pentagon have", "5"},
    {"sides does a hexagon have", "6"},
    {"sides does an octagon have", "8"},
    {"faces does a cube have", "6"},
    {"edges does a cube have", "12"},
    {"corners does a cube have", "8"},
    {"years are in a century", "100"},
    {"years are in a decade", "10"},
    {"letters are in the English alphabet", "26"},
    {"strings does a violin have", "4"},
    {"players are in a football team", "11"},
    {"squares are on a chessboard", "64"},
    {"keys does a full piano have", "88"},
    {"planets are in the solar system", "8"},
    {"degrees are in a right angle", "90"},
    {"degrees are in a full circle", "360"},
    {"wheels does a bicycle have", "2"},
    {"sides does a coin have", "2"},
    {"cards are in a standard deck", "52"},
    {"teeth does an adult normally have", "32"},
    {"millimetres are in a metre", "1000"},
};

#define N_FORMS 6
static const struct relation {
	const char *name;
	const struct pair *pairs;
	size_t n;
	const char *forms[N_FORMS]; // {S} subject, {O} object
	bool turned;                // the last two ask for the subject
} relations[] = {
#define FACTS(table) #table, table, TDM_GYM_COUNT(table)
    {FACTS(capitals),
     {"What is the capital of {S}?", "Name the capital of {S}.", "Which city is the capital of {S}?",
      "{S} has which capital?", "Which country has the capital {O}?", "{O} is the capital of which country?"},
     true},
    {FACTS(currencies),
     {"What is the currency of {S}?", "Which currency does {S} use?", "Name the currency of {S}.",
      "What money is used in {S}?", "With what currency do people pay in {S}?", "{S} has which currency?"},
     false},
    {FACTS(symbols),
     {"What is the chemical symbol of {S}?", "What is the symbol for {S}?", "Give the chemical symbol of {S}.",
      "How is {S} written as a chemical symbol?", "Which element has the symbol {O}?",
      "{O} is the chemical symbol of which element?"},
     true},
    {FACTS(authors),
     {"Who wrote {S}?", "Who is the author of {S}?", "Name the author of {S}.", "By whom was {S} written?",
      "{S} is a work of which author?", "Which author gave us {S}?"},
     false},
    {FACTS(planets),
     {"What is the place of {S} from the sun?", "Counted from the sun, what is the place of {S}?",
      "Give the place of {S} counted from the sun.", "In which place from the sun is {S}?",
      "Which planet is the {O} from the sun?", "Name the {O} planet from the sun."},
     true},
    {FACTS(young),
     {"What is a young {S} called?", "What do you call a young {S}?", "Name the young of the {S}.",
      "What is the word for a young {S}?", "Which animal has the {O} as its young?",
      "The {O} is the young of which animal?"},
     true},
    {FACTS(continents),
     {"On which continent is {S}?", "Which continent is {S} in?", "Name the continent of {S}.",
      "{S} lies on which continent?", "To which continent does {S} belong?", "{S} is part of which continent?"},
     false},
    {FACTS(languages),
     {"Which language is spoken in {S}?", "What is the main language of {S}?", "Name the main language of {S}.",
      "What do people speak in {S}?", "People in {S} speak which language?",
      "Which language do most people in {S} speak?"},
     false},
    {FACTS(opposites),
     {"What is the opposite of {S}?", "Give the opposite of {S}.", "Which word is the opposite of {S}?",
      "Name the opposite of the word {S}.", "What is the opposite of {O}?", "Which word is the opposite of {O}?"},
     true},
    {FACTS(numbers),
     {"How many {S}?", "Question: how many {S}?", "As a number: how many {S}?", "How many {S}, in digits?",
      "Answer in digits: how many {S}?", "I want to know: how many {S}?"},
     false},
#undef FACTS
};

size_t tdm_gym_n_facts(void) {
	size_t n = 0;
	for (size_t r = 0; r < TDM_GYM_COUNT(relations); r++)
		n += relations[r].n;
	return n;
}

static const struct relation *locate(size_t index, size_t *at) {
	size_t r = 0;
	while (index >= relations[r].n)
		index -= relations[r++].n;
	*at = index;
	return &relations[r];
}

void tdm_gym_fact(size_t index, struct tdm_gym_fact *out) {
	size_t at;
	const struct relation *r = locate(index, &at);
	*out = (struct tdm_gym_fact){r->name, r->pairs[at].subject, r->pairs[at].object, r->turned};
}

void tdm_gym_draw_facts(struct tdm_gym_draw *draw, int level, struct tdm_gym_item *out) {
	size_t at;
	const struct relation *r = locate(tdm_rng_below(&draw->rng, tdm_gym_n_facts()), &at);
	const struct pair *fact = &r->pairs[at];
	int form = 2 * (level - 1) + tdm_gym_range(draw, 0, 1);
	const char *name = tdm_gym_text(draw, "%s: %s", r->name, fact->subject);
	bool test = tdm_gym_hash(name) % N_FORMS == (uint64_t)form;
	out->prompt = tdm_gym_fill(draw, r->forms[form], "SO", fact->subject, fact->object);
	out->answer = form >= 4 && r->turned ? fact->subject : fact->object;
	out->rule = TDM_GYM_FOLDED;
	out->key = tdm_gym_key(tdm_gym_text(draw, "%s, %d", name, form), test);
}
