package policy

var english = phrases{
	title: "%s: do you agree to its use for “%s”?",
	intro: "You may say yes or no. Nothing is collected before you say yes, and a no switches off this one " +
		"feature only.",
	introSensitive: "You may say yes or no. Nothing is collected before you say yes, and a no switches off this " +
		"one feature only. This is sensitive personal information, so you are asked about it on its own.",
	introContract: "You may say yes or no. Nothing is stored or sent before you say yes. An account cannot be " +
		"opened without the items marked as required; everything else may be left out. This includes sensitive " +
		"personal information, so you are asked about it on its own.",

	who:       "Who receives it",
	what:      "What is collected",
	how:       "How and how often",
	small:     "How it is made small before it is stored or sent",
	why:       "What it is for",
	necessity: "Why it is needed",
	effect:    "What it means for you",
	keep:      "How long it is kept",
	refuse:    "If you say no",
	back:      "If you change your mind",
	duty:      "Your other rights",

	controller: "%s decides what is done with it and answers for it.",
	contact:    "Contact: %s",
	region:     "It is stored in: %s",
	recipient: "It is also given to: %s, for this purpose only. Your yes covers this recipient and no other; " +
		"you see both recipients here.",
	recipients: "It is also given to: %s, for this purpose only. Your yes covers these recipients and no others.",
	address: "The receiver necessarily sees the network address that your connection comes from. What it does " +
		"with it:",
	analytics: "It is sent apart from everything else, without any identifier, and is not combined with other " +
		"data about you.",
	features: "It is stored and sent encrypted, under a pseudonym that is used for this purpose and for nothing " +
		"else.",

	items:     "The items are:",
	required:  "required",
	optional:  "optional",
	immutable: "cannot be changed or deleted while the account exists",
	list:      " (%s)",
	others: "This is information about other people, too. Only agree if you may pass it on in the form that is " +
		"described below.",
	origin: "It does not come from you or this device but from a third party: %s.",
	source: map[Source]string{
		SourceDevice:        "It is read from this device's operating system.",
		SourceAccelerometer: "It is measured by this device's motion sensor.",
		SourceSteps:         "It is counted by this device's step counter, or on this device from its motion sensor.",
		SourceLocation:      "It is determined by this device's positioning service.",
		SourceContacts:      "It is read from the address book on this device.",
		SourceApplication:   "It is what you enter or make in the application, which hands it over.",
		SourceAgent:         "It is counted by this program itself.",
		SourceConnection:    "It comes with every connection to the receiver; nothing is read from your device for it.",
	},
	background: "It is read in the background, at most once in %s.",
	gathered:   "It is counted in the background all the time; answers are made of it at most once in %s.",
	session: "It is read only while you are using the feature, for at most %s at a time, and never in the " +
		"background.",
	counted:   "It is counted by the application, which hands over the counts and nothing else.",
	relayed:   "The application receives it from there and hands it over.",
	submitted: "It is taken over whenever you enter or change it; nothing is read in the background.",

	minimiser: map[MinimiserName]string{
		MinimiseDevice: "Only the items above leave this device. Serial numbers, hardware addresses, the IMEI, the " +
			"machine id, the device's name and local network addresses never do.",
		MinimiseMotion: "The measurements of %s at a time are summed up on this device: how it was held, and how " +
			"many thousandths of the time it was still or moving.\nThe measurements themselves are neither stored nor " +
			"sent.",
		MinimiseSteps: "Only the total of a calendar day leaves this device; when during the day you walked does not.",
		MinimiseBuckets: "Of a day's total only this leaves the device: in which of %d ranges it falls. The total " +
			"itself does not.",
		MinimiseLocation: "On this device your position is shifted by a secret distance, which stays the same for the " +
			"same place, and then replaced by the area in which it lies now (an S2 cell of level %d, about %s square " +
			"kilometres); it can be the area next to yours. So many records of a place show hardly more of where exactly " +
			"it is than one does. The time is rounded to the hour. An area is sent only when it has changed, at most %d times " +
			"a day.\nThe coordinates, altitude, speed and direction never leave this device.",
		MinimiseContacts: "On this device each phone number and e-mail address is turned into a keyed digest. The " +
			"digests are sent as one set, sorted and filled up with dummies to a fixed size (%d, or twice that, and so " +
			"on), so that their exact number does not show.\nNames, numbers, addresses, photos and notes are neither stored " +
			"nor sent.\nPlease note: whoever holds the key can reverse the digests, that is, find out by trying which " +
			"numbers are in your address book. The receiver holds the key. So the digests are pseudonymous, not " +
			"anonymous.",
		MinimiseFields: "Only the items above are taken over. Whatever else the application hands over is refused.",
		MinimiseCounts: "Only how often each of these things happened is counted. Messages, file names and contents " +
			"are not collected.",
	},
	laplace: "On top of that the area is exchanged for one that is drawn at random near it: two places less than %d metres " +
		"apart can hardly be told from each other by one draw. Because each further draw says a little more, there " +
		"are at most %d; then nothing more is sent.",
	ranges: "The exact number does not leave this device either, only in which of these ranges it falls: %s.",
	response: "Each answer is randomised on this device before it is stored for sending: with a probability of %d %% it is the true " +
		"range, otherwise any of the others. So no answer proves anything about you, not even to the receiver; " +
		"something reliable can be learnt only of many people together. The same truth always gets the same answer, so that " +
		"repetition reveals nothing more.\nThe number of such answers that are made in a week, chosen at random, is at most %d (privacy loss: epsilon %s each, " +
		"%s in all). “scruple analytics” shows what is spent. Each is sent by itself, after a random time of up to %s, as a " +
		"message of the same size for everybody.",
	exact:   "The total is sent as it is, because the comparison needs it.",
	rounded: "The total is rounded down to a multiple of %d.",
	rule: map[Rule]string{
		RuleRound:    "rounded down to a multiple of %d",
		RuleTruncate: "cut to %d bytes",
		RuleDigest:   "as a keyed digest only",
	},

	device: "On this device: ",
	kept:   "At the receiver: ",
	last:   "at most %s.",
	event:  "%s.",
	events: map[Event]string{
		UntilAccountClosed:    "until you close the account",
		UntilItemDeleted:      "until you delete the item, or close the account",
		UntilWithdrawn:        "until you withdraw your consent",
		UntilConnectionClosed: "not at all; it is dropped when the connection is closed",
	},
	expiry: "Your yes holds for at most %s. After that you are asked again, and without a new yes it stops.",

	refusalContract: "No account can be opened or kept. What works without an account works as before.",
	refusal:         "Only “%s” stops working. Everything else works as before.",
	quiet:           "You will not be asked again for at least %s.",

	withdraw:  "You can take your yes back at any time, at once and without giving a reason:",
	withdrawn: "stops it, tells the receiver, and destroys what is waiting on this device",
	cleared:   "does the same, and has the receiver erase what it has",
	analyticsCleared: "does the same; what was sent without an identifier cannot be found again, and so not be " +
		"erased",

	rights: "You can see what is held about you, take it with you, and have it corrected or erased; you can close " +
		"your account, and complain. “scruple data” shows what this device holds. For everything else write to %s; " +
		"you get an answer within thirty days.",

	regions: map[string]string{"CN": "mainland China (CN)", "HK": "Hong Kong, China (HK)", "DE": "Germany (DE)", "SG": "Singapore (SG)"},
	year:    "a year",
	years:   "%d years",
	day:     "a day",
	days:    "%d days",
	hour:    "an hour",
	hours:   "%d hours",
	minute:  "a minute",
	minutes: "%d minutes",
	comma:   ", ",
}
