// Street words: what a word says in an address. Small letters, one space between.
#pragma once
#include <stdint.h>

enum {
	STREET_TYPE = 1,    // behind the name, in any letter case
	STREET_PERHAPS = 2, // behind the name, where all is capital
	STREET_FIRST = 4,   // before the name
	STREET_LAST = 8,    // behind the name, the number after it
	STREET_SMALL = 16,  // between: "de la"
	STREET_UNIT = 32,   // of a flat or an office
	STREET_FLOOR = 64,  // "3rd floor"
	STREET_STATE = 128, // two capitals
	STREET_DIRECTION = 256,
	STREET_BOX = 512,
	STREET_BOX_ALONE = 1024, // a box by one word
	STREET_CODE = 2048,      // a word for a postcode
	STREET_IS = 4096,
	STREET_NUMBER = 8192,
	STREET_NEVER = 16384, // no part of a name: "12 minutes drive"
	STREET_MONTH = 32768,
	STREET_CONTEXT = 65536, // speaks of addresses
	STREET_AT = 131072,
	STREET_UNIT_ALONE = 262144, // of a flat, without a street too
	STREET_CORNER = 524288,     // "the corner of Oak and Pine"
	STREET_AND = 1048576,
	STREET_NEAR = 2097152, // before a postcode that stands alone
};

static const struct {
	uint32_t class;
	const char *words;
} tdm_street_words[] = {
    {STREET_TYPE, "street st str avenue ave av road rd boulevard blvd bvd lane ln drive dr court ct terrace terr "
                  "crescent cres parkway pkwy highway hwy expressway turnpike tpke freeway fwy close mews motorway "
                  "causeway driveway alley esplanade promenade cul-de-sac streets roads"},
    {STREET_PERHAPS,
     "way place pl square sq circle cir trail trl loop row walk gardens gdns grove grv hill hills park "
     "rise view quay wharf route rte pike plaza plz run path crossing xing point pt ridge rdg green "
     "heights hts vale yard gate bank bridge meadow meadows valley village station spur canyon hollow "
     "isle island islands junction key knoll lake lakes landing lodge manor mill mission mount mountain "
     "orchard oval overpass pass pine plain plains port prairie radial ramp ranch rapids rest river "
     "shoal shore spring springs stream summit trace track tunnel underpass union viaduct ville vista "
     "wells cove creek corner common dale dam divide estate estates extension falls ferry field fields "
     "flat ford forest forge fork fort garden glen harbor harbour haven mall mews centre center bypass "
     "bend beach bluff bottom branch brook burg camp cape club cliff course"},
    {STREET_FIRST,
     "rue r avenue av ave boulevard bd bld allée allee allées chemin impasse place quai route cours passage "
     "sentier via viale piazza piazzale corso vicolo largo strada lungomare calle cl c/ plaza paseo avenida "
     "avda camino carrer ronda travesía glorieta rua travessa alameda praça estrada rodovia ul ulica aleja "
     "al plac rynek bulevardul strada str calea jalan jl ctra carretera cañada urbanización quinta beco ladeira  "
     "chaussée drève clos impasse bulevar bulevard gral agiou"},
    {STREET_LAST,
     "straße strasse str weg platz allee gasse ring damm ufer steig promenade chaussee utca út tér útja körút "
     "straat laan plein gade vej vei veien vejen katu tie kuja polku gata gatan vägen väg gränd stigen allé u cesta "
     "ulica tänav tee mnt pst"},
    {STREET_SMALL,
     "de la le les du des d' l' del della delle dei degli di da do dos das el los las y e et en von der den am "
     "im zum zur saint sainte san santa st"},
    {STREET_UNIT,
     "apt apartment suite ste unit flat floor fl room rm bldg building no lot space spc apto apartamento piso "
     "int interno appt appartement bâtiment bat étage stock whg wohnung bus puerta esc escalera dpto depto "
     "office penthouse block house studio trailer level"},
    {STREET_FLOOR, "floor fl étage etage stock og piso planta piano"},
    {STREET_STATE,
     "al ak az ar ca co ct de fl ga hi id il in ia ks ky la me md ma mi mn ms mo mt ne nv nh nj nm ny nc nd oh "
     "ok or pa ri sc sd tn tx ut vt va wa wv wi wy dc pr gu vi as mp ap aa ae fm mh pw ab bc mb nb nl ns nt "
     "nu on pe qc sk yt nsw vic qld act tas uk usa us"},
    {STREET_DIRECTION, "n s e w ne nw se sw north south east west northeast northwest southeast southwest"},
    {STREET_BOX,
     "p.o po box pob post office postfach bp apartado apdo casilla casella postale correos postal postbus caixa "
     "pmb boîte boite postale cp psc apo fpo"},
    {STREET_BOX_ALONE, "pob postfach bp apartado apdo casilla postbus pmb psc"},
    {STREET_CODE,
     "zip zipcode zip-code zip_code postcode post-code postal postalcode postal_code code plz postleitzahl cap "
     "cep pincode pin-code"},
    {STREET_IS, "is are of was the my our ist est es è for"},
    {STREET_NUMBER, "no nr n° nº num número numero numéro n"},
    {STREET_NEVER,
     "the a an and or but if of in on at to for with from by as is are was were be been has have had do does did will "
     "would "
     "can could should may must not no yes this that these those it its i you he she we they my your his her our their "
     "me "
     "him us them what which who when where why how all any each every some more most less than then there here "
     "minute minutes min mins hour hours hr hrs day days week weeks month months year years second seconds people "
     "persons "
     "times time percent per mile miles km kilometers kilometres m meter meters metres feet ft inch inches cm mm lb "
     "lbs kg "
     "grams ounces oz dollars euros pounds cents million billion thousand hundred items points pages words percent "
     "questions answers steps ways things parts rooms bedrooms bedroom bathrooms bath students employees users "
     "customers "
     "children kids men women cars houses apartments reviews stars out about after before between during into over "
     "under "
     "through until while also just only very so too up down off via email phone und oder der die das ein eine ist "
     "sind "
     "mit für von et ou est sont avec pour un une los las y o es son con para il lo gli e sono per jahre tage minuten "
     "stunden euro uhr ans jours heures minutes años días horas anni giorni ore"},
    {STREET_UNIT_ALONE, "apt apartment suite ste flat appartement apto apartamento appt dpto"},
    {STREET_CONTEXT,
     "address addresses street live lives lived living reside resides residing resident residence located location "
     "ship "
     "shipped shipping deliver delivered delivers delivery home house headquarters headquartered office store shop "
     "branch "
     "moved moving move visit mail mailing billing domicile adresse anschrift wohnt wohne wohnen wohnhaft "
     "lieferadresse "
     "dirección direccion domicilio vive vivo vivimos habite habitons réside indirizzo abita abito residente spedire"},
    {STREET_AT, "at to from near in an nach chez à en a presso"},
    {STREET_CORNER, "corner intersection junction crossroads ecke esquina coin angolo hoek"},
    {STREET_AND, "and und et y e en"},
    {STREET_NEAR, "in near around within nearby"},
    {STREET_MONTH,
     "january february march april may june july august september october november december jan feb mar apr jun "
     "jul aug sep sept oct nov dec januar februar märz mai juni juli oktober dezember janvier février mars "
     "avril juin juillet août septembre octobre novembre décembre monday tuesday wednesday thursday friday "
     "saturday sunday"},
};

// In small letters, as characters.
static const uint32_t tdm_street_endings[][12] = {
    {'s', 't', 'r', 'a', 0xDF, 'e'},
    {'s', 't', 'r', 'a', 's', 's', 'e'},
    {'s', 't', 'r'},
    {'w', 'e', 'g'},
    {'g', 'a', 's', 's', 'e'},
    {'a', 'l', 'l', 'e', 'e'},
    {'p', 'l', 'a', 't', 'z'},
    {'d', 'a', 'm', 'm'},
    {'u', 'f', 'e', 'r'},
    {'s', 't', 'r', 'a', 'a', 't'},
    {'l', 'a', 'a', 'n'},
    {'g', 'r', 'a', 'c', 'h', 't'},
    {'p', 'l', 'e', 'i', 'n'},
    {'k', 'a', 'd', 'e'},
    {'s', 'i', 'n', 'g', 'e', 'l'},
    {'d', 'i', 'j', 'k'},
    {'g', 'a', 't', 'a', 'n'},
    {'v', 0xE4, 'g', 'e', 'n'},
    {'g', 'r', 0xE4, 'n', 'd'},
    {'g', 'a', 't', 'a'},
    {'v', 'e', 'j'},
    {'v', 'e', 'i', 'e', 'n'},
    {'v', 'e', 'i'},
    {'g', 'a', 'd', 'e'},
    {'s', 't', 'r', 0xE6, 'd', 'e'},
    {'k', 'a', 't', 'u'},
    {'k', 'u', 'j', 'a'},
    {'t', 'i', 'e'},
    {'p', 'o', 'l', 'k', 'u'},
    {'u', 't', 'c', 'a'},
    {'g', 'a', 't', 'e'},
    {'s', 't', 'i', 'e', 'n'},
    {'b', 'a', 'k', 'k', 'e', 'n'},
    {'t', 'o', 'r', 'g', 'e', 't'},
    {'s', 't', 'e', 'i', 'g'},
    {'c', 'h', 'a', 'u', 's', 's', 'e', 'e'},
    {'d', 'r', 'e', 'e', 'f'},
    {'v', 0xe6, 'n', 'g', 'e', 't'},
    {'m', 'a', 'r', 'k', 'e', 'n'},
    {'p', 'a', 'r', 'k', 'e', 'n'},
    {'g', 'r', 0xe4, 'n', 'd'},
    {'s', 't', 'i', 'g', 'e', 'n'},
    {'b', 'a', 'k', 'k', 'e', 'n'},
    {'s', 'v', 'i', 'n', 'g', 'e', 'n'},
    {'t', 'u', 'n', 'e', 't'},
    {'p', 'o', 'l', 'k', 'u'},
    {'k', 'a', 'a', 'r', 'i'},
    {'r', 'a', 'i', 't', 't', 'i'},
    {'v', 'e', 'g', 'u', 'r'},
    {'s', 't', 0xed, 'g', 'u', 'r'},
    {'b', 'r', 'a', 'u', 't'},
    {'h', 'l', 0xed, 0xf0},
    {'b', 'r', 0xfc, 'c', 'k', 'e'},
    {'g', 'r', 'a', 'b', 'e', 'n'},
    {'b', 'a', 'c', 'k', 'e'},
    {'b', 'a', 'a', 'n'},
    {'s', 't', 'e', 'e', 'g'},
    {'v', 'e', 'g'},
    {'t', 'o', 'r', 'g'},
    {'t', 'o', 'r', 'v'},
    {'h', 'o', 'f', 'w', 'e', 'g'},
};
