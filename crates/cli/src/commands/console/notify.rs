//! `firewatch notify`: tests whether the notification channels accept a message.

use firewatch_console::notify::{Message, SendResult, Sender};

use crate::args::NotifyCommand;
use crate::common::{Failure, print_stdout};
use crate::{clock, config, process};

/// Sends a test message on each channel and prints the results.
pub fn notify(command: &NotifyCommand) -> Result<(), Failure> {
    let NotifyCommand::Test { config, channels } = command;
    let settings = config::load(config, std::env::vars())?.console;
    let known: Vec<&str> = settings.channels.iter().map(|channel| channel.name.as_str()).collect();
    if let Some(strange) = channels.iter().find(|name| !known.contains(&name.as_str())) {
        let problem = format!("the settings have no such channel; give one of {}", known.join(", "));
        return Err(Failure::setting(strange, problem));
    }
    if known.is_empty() {
        return Err(Failure::setting(
            "notifications",
            "the settings have no channel; add one, such as [notifications.pr]",
        ));
    }
    let sender = Sender::new(&settings.channels).map_err(|e| Failure::running("notifications", e))?;
    let runtime = process::runtime()?;
    let base = settings.url.clone().unwrap_or_else(|| format!("http://{}", settings.listen));
    let mut refused = false;
    for name in known.into_iter().filter(|name| channels.is_empty() || channels.iter().any(|c| c == name)) {
        let now = clock::now();
        let message = Message::test(format!("test/{name}/{}", now.as_millis()), &base, now);
        match runtime.block_on(sender.send(name, &message, now)) {
            SendResult::Accepted => print_stdout(format_args!("{name}: accepted\n")),
            SendResult::RetryLater(problem) | SendResult::Refused(problem) => {
                refused = true;
                print_stdout(format_args!("{name}: not accepted: {problem}\n"));
            }
        }
    }
    runtime.shutdown_background();
    if refused { Err(Failure::Reported) } else { Ok(()) }
}
