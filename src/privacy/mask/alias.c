// Alias: see alias.h. Names of persons are good as first and as last names.
#include "privacy/mask/alias.h"
#include <string.h>

static const char *const persons[] = {
    "Alderby",  "Arkwell",    "Averill",  "Bexcombe",  "Bramwick", "Brinsley",   "Caldrew",   "Carrick",   "Chetwyn",
    "Corliss",  "Culverhay",  "Daventry", "Delmarsh",  "Dunmore",  "Ellacott",   "Eversley",  "Fairlie",   "Farrant",
    "Fenwick",  "Galbray",    "Garsdale", "Glendower", "Hallowes", "Hathersage", "Heskett",   "Holbeck",   "Inskip",
    "Jessamy",  "Kelmore",    "Kinnaird", "Lanbury",   "Latimere", "Lorring",    "Maddern",   "Marchmont", "Melksham",
    "Merrow",   "Nethercott", "Norcross", "Oakhurst",  "Ormsby",   "Osmund",     "Pemberley", "Penhale",   "Polwhele",
    "Quillon",  "Radcot",     "Ravenel",  "Rotherby",  "Roxwell",  "Selwick",    "Sheldrake", "Stanbury",  "Tarleton",
    "Thackray", "Treverton",  "Ulverton", "Varley",    "Wendover", "Westerby",   "Whitlaw",   "Wycombe",   "Yardley",
    "Zellaby",  "Ambrell",    "Bartlow",  "Cranmore",  "Dorrance", "Elstob",     "Fotherby",  "Gadsden",   "Harkness",
    "Ismay",    "Jarrold",    "Kestevan", "Lydgate",   "Morwenna", "Nesfield",   "Orlebar",   "Prideaux",  "Quarles",
    "Rumbold",  "Sudeley",    "Tolliver", "Uffindell", "Venning",  "Wolstan",    "Yelverton", "Arbuthnot", "Benbow",
    "Coltrane", "Dunster",    "Erskine",  "Flamstead", "Gawdy",    "Hornby"};
static const char *const places[] = {
    "Ashmere",    "Brackendale", "Caddonfoot", "Dellingham", "Eastvale",  "Fernhollow", "Glenmarsh", "Harrowgate",
    "Ivelbridge", "Kingsmoor",   "Larchfield", "Millbeck",   "Northwold", "Otterford",  "Pinehaven", "Quenbury",
    "Ravenscar",  "Stonehallow", "Thornwick",  "Underhill",  "Valebrook", "Wexbridge",  "Yarrowby",  "Aldermoor",
    "Birchwater", "Coldharbor",  "Dunwater",   "Elmsworth",  "Foxhollow", "Greyminster"};
static const char *const firms[] = {"Alvorix",  "Brenmark",  "Calduna",   "Dorvane",  "Elmarix",   "Fenstra",
                                    "Galvanta", "Hestoria",  "Ivarand",   "Jorvexa",  "Kelbrand",  "Lumarex",
                                    "Mervalin", "Norvexia",  "Orlanta",   "Pelvaris", "Quorvan",   "Restavia",
                                    "Solvanta", "Tarvexo",   "Ulmerix",   "Vendaris", "Wexatron",  "Xandova",
                                    "Yorvale",  "Zentravia", "Arvendale", "Belcorix", "Corvandia", "Delmaris"};

#define LIST(items) (*n = sizeof(items) / sizeof *(items), items)
const char *const *tdm_aliases(const char *label, size_t *n) {
	if (strcmp(label, "PERSON") == 0)
		return LIST(persons);
	if (strcmp(label, "PLACE") == 0)
		return LIST(places);
	return strcmp(label, "ORG") == 0 ? LIST(firms) : NULL;
}
