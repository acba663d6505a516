//! The texts of the demo recording, all of them invented. `{}` is replaced by a word of the list beside it.

/// Sentences for a kind of post, and the words that fill them.
pub struct PostTemplate {
    pub sentences: &'static [&'static str],
    pub words: &'static [&'static str],
}

pub const QUESTIONS: PostTemplate = PostTemplate {
    sentences: &[
        "@AldermereHealth does the silver plan cover {} this year?",
        "Hi @AldermereHealth, where can I find the form for {}?",
        "@AldermereCare is {} included if I add my daughter in May?",
        "Question for @AldermereHealth: how do I choose {} online?",
        "@AldermereHealth when does enrolment for {} open?",
        "Does anyone know if @AldermereHealth takes {} through the exchange?",
        "@AldermereCare what do I bring for {}?",
    ],
    words: &[
        "dental",
        "vision",
        "physiotherapy",
        "a new doctor",
        "maternity care",
        "the gym programme",
        "travel cover",
        "prescriptions by post",
        "an eye test",
        "my spouse",
        "a second opinion",
        "telehealth visits",
    ],
};

pub const PRAISE: PostTemplate = PostTemplate {
    sentences: &[
        "Thank you @AldermereHealth, {} was great today!",
        "Shout-out to @AldermereCare: {} could not have been nicer \u{1F60A}",
        "Really happy with {} at @AldermereHealth. Love it!",
        "@AldermereHealth {} made my morning, thanks so much!",
        "So good to see {} from @AldermereHealth. Well done!",
        "Best service this year: {} at @AldermereCare \u{1F44D}",
    ],
    words: &[
        "the nurse line",
        "your new app",
        "the lady on the phone",
        "my enrolment",
        "the wellness class",
        "the care team",
        "your quick answer",
        "the welcome pack",
        "the vaccination day",
    ],
};

pub const NEWS: PostTemplate = PostTemplate {
    sentences: &[
        "@AldermereHealth opens a new office in {} in April",
        "Reading about plans from @AldermereHealth before the meeting in {}",
        "@AldermereHealth is at the health fair in {} this weekend",
        "Comparing bronze plans in {} tonight, @AldermereHealth and two others on the list",
        "Looking at the schedule: @AldermereHealth webinar for employers in {} tomorrow",
    ],
    words: &[
        "Oakland",
        "Fresno",
        "San Jose",
        "Sacramento",
        "Redding",
        "Modesto",
        "Bakersfield",
        "Long Beach",
    ],
};

pub const COMPLAINTS: PostTemplate = PostTemplate {
    sentences: &[
        "@AldermereHealth been on hold for {} and nobody answers. This is ridiculous",
        "Worst service ever, @AldermereHealth. You lost {} again and no one cares",
        "@AldermereCare you charged me twice for {}. I am so angry, fix this",
        "Still waiting for {} from @AldermereHealth. Terrible, I give up",
        "@AldermereHealth refused {} for no reason at all. Disgusting",
        "I hate calling @AldermereHealth. Rude agent, no help with {}",
        "@AldermereHealth why did you cancel {}? Awful company, never again",
    ],
    words: &[
        "two hours",
        "my claim",
        "my premium",
        "the refund",
        "my referral",
        "an hour and a half",
        "my son's card",
        "the bill from January",
        "my appointment",
        "the authorization",
    ],
};

pub const OUTAGE: PostTemplate = PostTemplate {
    sentences: &[
        "@AldermereHealth your member portal is down again and I can't {}. Terrible",
        "Portal down at @AldermereHealth? Can't {}, this is awful",
        "So the @AldermereHealth portal crashed and nobody can {}. Ridiculous, fix it",
        "@AldermereCare the portal has been down all afternoon, I can't {}. So frustrated",
        "Great, portal error again. Can't {} and @AldermereHealth says nothing. Worst ever",
        "@AldermereHealth portal won't load, I need to {} today! Not acceptable, so angry",
        "Anyone else hate the @AldermereHealth portal? Down when I have to {}. Useless",
    ],
    words: &[
        "pay my premium",
        "get my card",
        "see my results",
        "book a visit",
        "refill my prescription",
        "upload my papers",
        "log in",
        "print my letter",
    ],
};

pub const SPANISH: PostTemplate = PostTemplate {
    sentences: &[
        "@AldermereHealth llevo {} esperando y nadie contesta",
        "@AldermereCare necesito ayuda con {} por favor",
    ],
    words: &["dos horas", "mi factura", "mi tarjeta", "una cita"],
};

/// The complaint that stays small.
pub const QUIET: &str = "@AldermereHealth two hours on hold today, three calls this week, and still no answer about my claim. This is terrible";
/// The complaint that takes off.
pub const TAKES_OFF: &str = "My father's surgery was approved in writing. The night before, @AldermereHealth cancelled it. \
     On the phone they laughed. This is disgusting and I am so angry. Please share";

/// How the brand answers.
pub const REPLIES: [&str; 3] = [
    "We're sorry to hear this. Please send us a direct message so that we can help.",
    "Thank you for telling us. Please e-mail us at care@aldermere.example and we will look into it today.",
    "Sorry for the wait. Please DM us a good time to call.",
];
