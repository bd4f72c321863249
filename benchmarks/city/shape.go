package city

import "github.com/vouch-engine/vouch/schemas"

// share is a part of the whole.
type share uint64

const whole = 100_000

// The shape of the city: that of Bozhou, Anhui, as a newspaper gave it (1.36
// million people who draw 22 benefits of 26 departments, 34.9 million records
// a year, four of five certified by data). The article gives no more than
// that; the rest is made up, so that everything that happens to an engine
// happens here in a year, the rare in small shares.
const (
	// How people come to be certified; who remains is certified by nobody.
	shareData    share = 81_000 // strong automatic records of departments
	sharePhone   share = 11_500 // self-service, by face on the phone
	shareCounter share = 3_000  // at a counter
	shareVisit   share = 3_000  // at home, by community staff

	shareTooLate share = 12_000 // of those certified by themselves: after they were due

	// Records a year, for every 100,000 citizens (annual ones: who is certified
	// by data). With the roster's own, of about 1.4 benefits each, they make
	// 25.7 a citizen and year.
	perYearAnnual   = 81_000    // once for everyone of shareData, whatever the skew
	perYearStrong   = 700_000   // of shareData alone
	perYearWeak     = 1_246_000 // of everybody
	perYearStranger = 20_000    // evidence of people who draw nothing here
	perYearChange   = 6_000     // roster entries that change
	perYearDeath    = 1_200     // deaths
	perYearFalse    = 200       // reports of a death that was none, retracted later
	perYearSuspend  = 250       // prison terms, people gone missing
	perYearReview   = 200       // emigrations, returned payments and the like

	// What comes of evidence again, of all of it.
	shareAgain     share = 4_000  // of evidence comes once more, and of that
	shareRepeated  share = 60_000 // is the same record
	shareCorrected share = 25_000 // another version with another day; the rest is retracted

	// How late evidence is: recorded after it occurred, delivered after it was
	// recorded. Most is of the day.
	shareDaysLate   share = 22_000 // 1 to 5 days
	shareWeeksLate  share = 7_000  // 6 to 30 days
	shareMonthsLate share = 1_000  // 31 to 120 days
	shareHeldUp     share = 10_000 // delivered up to 6 days after it was recorded

	// Bad records, of evidence, of every reason for quarantine in turn.
	shareBad share = 100

	// Payments: who is paid through the engine's eyes, and what goes wrong.
	sharePaid      share = 25_000 // of citizens, once a month
	sharePaidMuch  share = 50     // of payouts: twice the amount
	sharePaidElse  share = 30     // to another account
	sharePaidWrong share = 20     // for a benefit that the citizen does not draw
	sharePaidAgain share = 150    // once more on the next day: two of three the same record, else a second payout

	// The roster.
	shareTwoBenefits   share = 28_000 // draw two
	shareThreeBenefits share = 6_000  // draw three
	shareExclusive     share = 300    // two that exclude one another
	shareNoPhone       share = 15_000 // give no number
	shareLastCertified share = 25_000 // entries that say when the last certification was, not when the next is due
	shareCouple        share = 4_000  // share an account with one other
	shareCrowd         share = 600    // share one with five others: crowdSize in every thousand

	// Evidence of veterans and others whose benefit accepts only its own
	// department's: so much of their strong evidence is of that kind.
	shareOwnKind share = 30_000

	// Who has died is seen by nobody, but a card may go on being used: so much
	// of the weak evidence that would have been is there nevertheless.
	sharePosthumous share = 5_000

	shareReference share = 10_000 // of evidence has the department's reference
	shareReported  share = 70_000 // of deaths are reported by each lineage
)

// Times.
const (
	stormDays     = 2             // the last days of a month, on which departments deliver what has gathered
	stormWeight   = 4             // as much as on so many other days
	payDay        = 25            // of the month
	payRunHours   = 6             // from midnight
	loadHours     = 6             // in which the roster is loaded, from the first midnight
	daysPerYear   = 365           // that rates are counted by
	missingDays   = 60            // until somebody who went missing is seen again
	termDays      = 120           // of prison
	retractedDays = 45            // until a false report of a death is retracted
	correctedDays = 3             // that a correction moves a record at most
	citizensMin   = 20            // below them some way of being certified would have nobody
	citizensMax   = 1<<32 - 1<<24 // ranks, with strangers, fit in 32 bits
	strangers     = 20            // one for every so many citizens
	crowdSize     = 6
	unseenMonths  = 2       // from the first month until those whom nobody sees are due: none of their reminders is too late
	unseenMax     = 1 << 24 // their ranks come behind the strangers'
)

// hourWeights say when in a day facts arrive.
var hourWeights = [24]uint64{1, 1, 1, 1, 1, 1, 2, 3, 6, 8, 8, 7, 4, 4, 7, 8, 7, 6, 4, 4, 4, 3, 2, 2}

// deathLags are the days after a death on which the lineages of reports, by
// code, tell of it; the last is for reports of no lineage.
var deathLags = []schemas.Instant{2, 40, 25, 5, 30}

// trait is what the city knows of a benefit.
type trait struct {
	weight           int // of people who draw it first
	youngest, oldest int // age, years
}

// anyBenefit is the trait of a benefit that is not listed.
var anyBenefit = trait{10, 60, 95}

var traits = map[string]trait{
	"URRP": {520, 60, 99}, "UEP": {160, 55, 95}, "GIP": {60, 55, 95}, "OLDAGE": {40, 80, 102},
	"RDIBAO": {40, 40, 95}, "DISNUR": {25, 20, 90}, "DISLIV": {25, 20, 90}, "VETREG": {25, 55, 95},
	"FPREWARD": {30, 60, 85}, "POOREC": {15, 60, 99}, "TEKUN": {15, 60, 95}, "EXCADRE": {8, 60, 90},
	"VDOC": {6, 60, 90}, "MINBAN": {6, 60, 90}, "FPSPECIAL": {5, 50, 85}, "UIB": {5, 25, 59},
	"WIDA": {4, 40, 80}, "WINC": {4, 40, 80}, "NDSA": {4, 8, 80}, "WISP": {3, 8, 80},
	"ORPHAN": {2, 3, 17}, "DEFACTO": {2, 3, 17},
}

// kindWeights say how often a kind of evidence is seen; 1 where none is given.
// 0: only where a benefit accepts little else.
var kindWeights = map[string]int{
	"OUTPT_VISIT": 24, "MEDINS_FACE": 12, "CHRONIC_FU": 12, "BANK_COUNTER": 8, "BANK_FACE": 8, "ELDER_EXAM": 6,
	"INPT_ADMIT": 4, "INPT_DISCH": 4, "VACCINE": 4, "GOVAPP_FACE": 4, "COACH_BOARD": 4, "RAIL_BOARD": 3,
	"HOMECARE_SVC": 3, "NURSING_HOME": 3, "CYCLE_THERAPY": 3, "FAMDOC_VISIT": 3, "HOTEL_CHECKIN": 2, "GOVHALL_ID": 2,
	"VET_CONFIRM": 0,
	"PHARM_SWIPE": 12, "PHONE_ACTIVE": 12, "BUS_TAP": 10, "UTILITY_USE": 8, "CARD_SPEND": 8, "VILLAGE_SIGNIN": 2,
	"FACE_SELF": 12, "COUNTER_CERT": 8,
}

// regions are the county and the three counties more; people live in the first
// ones most.
var regions = []string{"341602", "341602", "341602", "341621", "341621", "341622", "341622", "341623", "341623", "341623"}
