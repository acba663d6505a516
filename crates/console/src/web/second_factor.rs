//! The second factor of local accounts: the code at sign-in, turning it on and off, and the reset by another person.

use askama::Template;
use axum::Extension;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use qrcode::{Color, EcLevel, QrCode};
use serde::Deserialize;

use super::auth::{ClientAddress, cookie, text};
use super::confirm::has_fresh_proof;
use super::page::{PageFrame, html};
use super::sign_in::{CsrfForm, local_path, sign_in_page, start_session};
use super::{Console, Problem};
use crate::people::{Attempt, AuditAction, CODE_STEP_LIFETIME, CodeCheck, Person, Right, Role};
use crate::percent_encoding::percent_encoded;
use crate::settings::{SecondFactorPolicy, SignIn};
use crate::store::StoreError;

/// The page at which people turn their second factor on and off.
const PAGE: &str = "/account/second-factor";
/// Light modules around a QR code.
const QUIET_ZONE: usize = 4;

#[derive(Template)]
#[template(path = "code.html")]
struct CodePage {
    /// Path to go to after sign-in.
    to: String,
    problem: String,
}

#[derive(Template)]
#[template(path = "second_factor.html")]
struct SecondFactorPage {
    frame: PageFrame,
    problem: String,
    /// The account must have a second factor before it can do anything else.
    is_required: bool,
    state: FactorState,
}

/// What the page of the second factor offers.
enum FactorState {
    /// To turn it off.
    On,
    /// To turn it on.
    Off,
    /// To enter the first code of a secret, which the page shows as a QR code and as text.
    Enrolling { svg: String, secret: String },
}

#[derive(Template)]
#[template(path = "recovery_codes.html")]
struct RecoveryCodesPage {
    frame: PageFrame,
    codes: Vec<String>,
}

/// Why a code was not accepted, as a status and a message for the person.
pub(super) struct CodeRefusal {
    pub status: StatusCode,
    pub message: &'static str,
}

/// Asks for the code after a right password: returns the way to its page, or `None` if the account has no second
/// factor.
pub(super) async fn ask_for_code(
    console: &Console,
    headers: &HeaderMap,
    name: &str,
    to: &str,
) -> Result<Option<Response>, Problem> {
    if !console.people.has_second_factor(name).await? {
        return Ok(None);
    }
    let agent = text(headers, header::USER_AGENT);
    let token = console.people.begin_code_step(name, agent, console.now()).await?;
    let secs = CODE_STEP_LIFETIME.as_millis() / 1000;
    let cookie = console.auth.set_cookie(console.auth.code_cookie_name(), &token, secs);
    let page = format!("/sign-in/code?to={}", percent_encoded(local_path(to), b"/"));
    Ok(Some(([(header::SET_COOKIE, cookie)], Redirect::to(&page)).into_response()))
}

#[derive(Deserialize)]
pub(super) struct ReturnTo {
    #[serde(default)]
    to: String,
}

/// Serves the page that asks for the code at sign-in.
pub(super) async fn code_page(
    State(console): State<Console>,
    headers: HeaderMap,
    Query(ReturnTo { to }): Query<ReturnTo>,
) -> Result<Response, Problem> {
    match waiting_account(&console, &headers).await? {
        Some(_) => html(&CodePage { to: local_path(&to).into(), problem: String::new() }),
        None => ask_for_password(&console, &to, "Your sign-in has expired. Enter your password again."),
    }
}

/// Returns the token and the account of a sign-in that waits for its code.
async fn waiting_account<'a>(
    console: &Console,
    headers: &'a HeaderMap,
) -> Result<Option<(&'a str, String)>, StoreError> {
    let Some(token) = cookie(headers, console.auth.code_cookie_name()) else { return Ok(None) };
    let agent = text(headers, header::USER_AGENT);
    let name = console.people.code_step(token, agent, console.now()).await?;
    Ok(name.map(|name| (token, name)))
}

fn ask_for_password(console: &Console, to: &str, problem: &str) -> Result<Response, Problem> {
    let page = sign_in_page(console, to, problem)?;
    Ok((StatusCode::UNAUTHORIZED, page).into_response())
}

#[derive(Deserialize)]
pub(super) struct EnteredCode {
    code: String,
    #[serde(default)]
    to: String,
}

/// Checks the code at sign-in and starts a session.
pub(super) async fn enter_code(
    State(console): State<Console>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    Form(EnteredCode { code, to }): Form<EnteredCode>,
) -> Result<Response, Problem> {
    let expired = "Your sign-in has expired. Enter your password again.";
    let Some((token, name)) = waiting_account(&console, &headers).await? else {
        return ask_for_password(&console, &to, expired);
    };
    let refused = |status: StatusCode, problem: &str| {
        let page = html(&CodePage { to: local_path(&to).into(), problem: problem.into() })?;
        Ok((status, page).into_response())
    };
    match console.auth.limits.sign_in(&name, &from) {
        Attempt::Tried(delay) => tokio::time::sleep(delay).await,
        Attempt::Refused => {
            let problem = "Too many attempts. Wait a minute, then try again.";
            return refused(StatusCode::TOO_MANY_REQUESTS, problem);
        }
    }
    if !console.people.count_try(token).await? {
        console.people.end_code_step(token).await?;
        return ask_for_password(&console, &to, "Too many wrong codes. Enter your password again.");
    }
    if let Err(CodeRefusal { status, message }) =
        accept_code(&console, &name, &from, &code, "at sign-in").await?
    {
        return refused(status, message);
    }
    // Another request may have used the token meanwhile, or a new password may have ended it.
    if !console.people.end_code_step(token).await? {
        return ask_for_password(&console, &to, expired);
    }
    let now = console.now();
    console.people.write_audit(&name, &from, AuditAction::SignedIn, "by password and code", now).await?;
    let session = console.people.begin_session(&name, text(&headers, header::USER_AGENT), now).await?;
    let mut answer = start_session(&console, &headers, &session, local_path(&to)).await?;
    let gone = console.auth.set_cookie(console.auth.code_cookie_name(), "", 0);
    if let Ok(gone) = gone.parse() {
        answer.headers_mut().append(header::SET_COOKIE, gone);
    }
    Ok(answer)
}

/// Checks a code of the app or a recovery code, uses it up, and writes to the audit trail what is not a right code.
/// `place` says where it was entered.
pub(super) async fn accept_code(
    console: &Console,
    name: &str,
    from: &str,
    code: &str,
    place: &str,
) -> Result<Result<(), CodeRefusal>, Problem> {
    let now = console.now();
    let refusal = |message| Ok(Err(CodeRefusal { status: StatusCode::UNAUTHORIZED, message }));
    match console.people.check_code(name, code, now).await? {
        CodeCheck::Right => Ok(Ok(())),
        CodeCheck::RecoveryCode(left) => {
            let about = format!("{place}; {left} left");
            console.people.write_audit(name, from, AuditAction::UsedRecoveryCode, &about, now).await?;
            Ok(Ok(()))
        }
        CodeCheck::Wrong => {
            console.people.write_audit(name, from, AuditAction::WrongCode, place, now).await?;
            refusal(
                "Wrong code. Enter the one that the app shows now. If it is refused too, set the phone's clock to automatic time.",
            )
        }
        CodeCheck::UsedBefore => {
            let about = format!("{place}; used before");
            console.people.write_audit(name, from, AuditAction::WrongCode, &about, now).await?;
            refusal("This code was used already. Wait until the app shows the next one.")
        }
        CodeCheck::TooMany => Ok(Err(CodeRefusal {
            status: StatusCode::TOO_MANY_REQUESTS,
            message: "Too many wrong codes. Use a recovery code, or wait an hour. If the codes were not yours, somebody knows your password: change it.",
        })),
    }
}

/// Returns the answer to a request of a person who must turn on a second factor first; `None` if the request may go on.
pub(super) async fn refuse_before_enrolment(
    console: &Console,
    person: &Person,
    path: &str,
) -> Result<Option<Response>, StoreError> {
    let may_go_on = !is_required(console, person)
        || path.starts_with(PAGE)
        || matches!(path, "/confirm" | "/sign-out")
        || console.people.has_second_factor(&person.name).await?;
    if may_go_on {
        return Ok(None);
    }
    if path.starts_with("/api/") {
        let problem = format!("your account needs a second factor first; turn it on at {PAGE}");
        return Ok(Some(Problem(StatusCode::FORBIDDEN, problem).into_response()));
    }
    Ok(Some(Redirect::to(PAGE).into_response()))
}

/// Returns whether the settings demand a second factor of a person.
fn is_required(console: &Console, person: &Person) -> bool {
    let is_officer = person.may(Right::Unredacted) || person.may(Right::Manage);
    console.auth.sign_in == SignIn::Local
        && match console.auth.second_factor {
            SecondFactorPolicy::Optional => false,
            SecondFactorPolicy::Officers => is_officer,
            SecondFactorPolicy::Everyone => true,
        }
}

/// Serves the page that turns the person's second factor on or off.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if console.auth.sign_in != SignIn::Local {
        return Ok(Redirect::to("/account").into_response());
    }
    second_factor_page(&console, person, &headers, "").await
}

async fn second_factor_page(
    console: &Console,
    person: Person,
    headers: &HeaderMap,
    problem: &str,
) -> Result<Response, Problem> {
    let state = if console.people.has_second_factor(&person.name).await? {
        FactorState::On
    } else {
        // A stolen session must not show a secret that its person is about to use.
        let is_fresh = has_fresh_proof(console, headers).await?;
        match console.people.enrolment(&person.name, console.now()).await?.filter(|_| is_fresh) {
            Some(secret) => FactorState::Enrolling {
                svg: qr_svg(&secret.url(&person.name)).unwrap_or_default(),
                secret: secret.grouped(),
            },
            None => FactorState::Off,
        }
    };
    let is_required = is_required(console, &person);
    let frame = PageFrame::new(console, person);
    html(&SecondFactorPage { frame, problem: problem.into(), is_required, state })
}

/// Returns a 404 problem where there are no local accounts.
fn require_local(console: &Console) -> Result<(), Problem> {
    if console.auth.sign_in == SignIn::Local {
        return Ok(());
    }
    Err(Problem(StatusCode::NOT_FOUND, "there are no local accounts".into()))
}

/// Makes a new secret and shows it. Needs a fresh proof: with a stolen session nobody may take over the account.
pub(super) async fn start(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    headers: HeaderMap,
    Form(CsrfForm { csrf }): Form<CsrfForm>,
) -> Result<Response, Problem> {
    person.check_csrf(&csrf)?;
    require_local(&console)?;
    if !has_fresh_proof(&console, &headers).await? {
        return Ok(Redirect::to(&format!("/confirm?to={PAGE}")).into_response());
    }
    console.people.start_enrolment(&person.name, console.now()).await?;
    Ok(Redirect::to(PAGE).into_response())
}

#[derive(Deserialize)]
pub(super) struct FirstCode {
    csrf: String,
    code: String,
}

/// Turns on the second factor with its first code, and shows the recovery codes.
pub(super) async fn turn_on(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    Form(FirstCode { csrf, code }): Form<FirstCode>,
) -> Result<Response, Problem> {
    person.check_csrf(&csrf)?;
    require_local(&console)?;
    let (now, session) = (console.now(), session_token(&console, &headers));
    match console.people.finish_enrolment(&person.name, session, &code, now).await? {
        Some(codes) => {
            console
                .people
                .write_audit(&person.name, &from, AuditAction::TurnedOnSecondFactor, "", now)
                .await?;
            console.people.note_proof(session, now).await?;
            html(&RecoveryCodesPage { frame: PageFrame::new(&console, person), codes })
        }
        None => {
            let problem = "Wrong code. Enter the one that the app shows now. If it is refused too, set the phone's clock to automatic time.";
            let page = second_factor_page(&console, person, &headers, problem).await?;
            Ok((StatusCode::BAD_REQUEST, page).into_response())
        }
    }
}

#[derive(Deserialize)]
pub(super) struct PasswordAndCode {
    csrf: String,
    password: String,
    code: String,
}

/// Turns off the person's second factor, which needs the password and a code, and ends the other sessions.
pub(super) async fn turn_off(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    Form(PasswordAndCode { csrf, password, code }): Form<PasswordAndCode>,
) -> Result<Response, Problem> {
    person.check_csrf(&csrf)?;
    require_local(&console)?;
    let refused = if console.auth.limits.sign_in(&person.name, &from) == Attempt::Refused {
        let message = "Too many attempts. Wait a minute, then try again.";
        Some(CodeRefusal { status: StatusCode::TOO_MANY_REQUESTS, message })
    } else if console.people.verify_password(&person.name, password).await? {
        accept_code(&console, &person.name, &from, &code, "to turn off the second factor").await?.err()
    } else {
        let about = "to turn off the second factor";
        console
            .people
            .write_audit(&person.name, &from, AuditAction::WrongPassword, about, console.now())
            .await?;
        Some(CodeRefusal { status: StatusCode::UNAUTHORIZED, message: "Wrong password." })
    };
    if let Some(CodeRefusal { status, message }) = refused {
        let page = second_factor_page(&console, person, &headers, message).await?;
        return Ok((status, page).into_response());
    }
    let (now, session) = (console.now(), session_token(&console, &headers));
    console.people.write_audit(&person.name, &from, AuditAction::TurnedOffSecondFactor, "", now).await?;
    console.people.turn_off_second_factor(&person.name, session).await?;
    console.people.note_proof(session, now).await?;
    Ok(Redirect::to(PAGE).into_response())
}

fn session_token<'a>(console: &Console, headers: &'a HeaderMap) -> &'a str {
    cookie(headers, console.auth.session_cookie_name()).unwrap_or_default()
}

/// Resets the second factor of another account and ends its sessions. Only a privacy officer may reset that of one.
pub(super) async fn reset(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    person.require(Right::Manage)?;
    if name == person.name {
        let problem =
            format!("you cannot reset your own; turn it off at {PAGE} with a code or a recovery code");
        return Err(Problem(StatusCode::CONFLICT, problem));
    }
    let accounts = console.people.accounts().await?;
    let account = accounts.iter().find(|account| account.name == name);
    let Some(account) = account.filter(|account| account.second_factor) else {
        return Err(Problem(StatusCode::NOT_FOUND, format!("{name:?} has no account with a second factor")));
    };
    if account.roles.contains(&Role::PrivacyOfficer) {
        person.require(Right::Unredacted)?;
    }
    console
        .people
        .write_audit(&person.name, &from, AuditAction::ResetSecondFactor, &name, console.now())
        .await?;
    console.people.reset_second_factor(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Draws the QR code of a text; `None` if the text is too long for one.
fn qr_svg(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let side = width + 2 * QUIET_ZONE;
    let modules = code.to_colors();
    let dark = modules.iter().enumerate().filter(|(_, color)| **color == Color::Dark);
    let squares: String = dark
        .map(|(i, _)| format!("M{} {}h1v1h-1z", i % width + QUIET_ZONE, i / width + QUIET_ZONE))
        .collect();
    Some(format!(
        "<svg viewBox=\"0 0 {side} {side}\" role=\"img\" aria-label=\"QR code of the secret\" shape-rendering=\"crispEdges\">\
         <rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path d=\"{squares}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::qr_svg;

    #[test]
    fn a_qr_code_has_its_three_corners_and_a_light_frame() {
        let svg = qr_svg("otpauth://totp/firewatch:kim?secret=GEZDGNBVGY3TQOJQ&issuer=firewatch").unwrap();
        let side: usize = svg.split('"').nth(1).unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        for (x, y) in [(4, 4), (side - 5, 4), (4, side - 5)] {
            assert!(svg.contains(&format!("M{x} {y}h1")), "{x} {y}");
        }
        assert!(!svg.contains(&format!("M{} {}h1", side - 4, 4)) && !svg.contains("style"));
        assert_eq!(qr_svg(&"x".repeat(10_000)), None);
    }
}
