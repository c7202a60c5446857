//! The command line of the program.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use rsp::crypto::{Random, SystemRandom};

use crate::report::json::JsonLines;
use crate::report::terminal::{Style, Terminal};
use crate::report::{junit, tap};
use crate::runner::assistant::Assistant;
use crate::runner::result::{RunInfo, RunResult, exit};
use crate::runner::{Options, Progress, Target, run};
use crate::scenario::error::Mistakes;
use crate::scenario::explain::explain;
use crate::scenario::load::{DEFAULT_FOLDER, LoadError, LoadedScenario, ScenarioPath, Shard, find, load};
use crate::scenario::parse::Vocabulary;

/// An eSIM laboratory in software.
#[derive(Debug, Parser)]
#[command(
    name = "esimlab",
    version,
    about = "An eSIM laboratory in software: modem, eUICC, SM-DP+ and LPA, and scenarios that put them to the test",
    after_help = "Exit codes: 0 all passed, 1 something failed, 2 wrong usage or a file that cannot be read,\n\
                  3 the lab itself failed, 5 nothing was selected."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios and report what came of them
    Run(RunArgs),
    /// Read scenarios and models and tell the mistakes in them
    Check(CheckArgs),
    /// Tell in words what a scenario does, and why
    Explain(ExplainArgs),
    /// Wire up a lab and keep it running until Ctrl-C
    Up(crate::up::UpArgs),
    /// Run the SM-DP+ alone, with its management API, until Ctrl-C
    Smdp(crate::smdp_cmd::SmdpArgs),
    /// Orders of an SM-DP+ that `esimlab smdp` runs
    Order(crate::smdp_cmd::OrderArgs),
    /// Measure
    #[command(subcommand)]
    Bench(crate::bench::BenchCommand),
    /// List the models of the modem
    Models,
    /// Make a test PKI
    #[command(subcommand)]
    Pki(PkiCommand),
    /// The LPA: the same as the program `lpad`
    #[command(disable_help_flag = true)]
    Lpad {
        /// The arguments of `lpad`; `esimlab lpad --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Files, folders, ids (`errors/code-used`) or topics (`errors`); all of scenarios/ when none is given
    #[arg(value_name = "PATH|ID")]
    scenarios: Vec<String>,

    /// Only scenarios with this text in their id or title
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Only part I of N, as in 2/4, for a run that is split over several machines
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,

    /// List what would be run, and run nothing
    #[arg(long)]
    list: bool,

    /// How many scenarios at the same time; as many as there are processors when not given
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// The seed of all random choices, to repeat a run
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Another LPA to test: a program with the command line of `lpad` and its `--json`
    #[arg(long, value_name = "PROGRAM")]
    lpa: Option<PathBuf>,

    /// Write the report as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Write the report as JSON lines, timelines included
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the report as TAP 14
    #[arg(long, value_name = "FILE")]
    tap: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Files, folders, ids or topics of scenarios; files of models. All of scenarios/ when none is given
    #[arg(value_name = "PATH|ID")]
    paths: Vec<String>,
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// Ids, topics, files or folders of scenarios
    #[arg(value_name = "PATH|ID", required = true)]
    scenarios: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum PkiCommand {
    /// Make the certificates and keys of CI, EUM, eUICC and SM-DP+ in a folder laid out like SGP.26
    New {
        /// The folder; it is made, and must not hold anything yet
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// Something that ends the program, and its exit code.
#[derive(Debug)]
pub(crate) struct Abort {
    code: u8,
    message: String,
}

impl Abort {
    /// The command line or a file on it is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Abort { code: exit::USAGE, message: message.into() }
    }

    /// The lab itself failed.
    pub(crate) fn lab(message: impl Into<String>) -> Self {
        Abort { code: exit::LAB_FAILED, message: message.into() }
    }
}

impl From<LoadError> for Abort {
    fn from(error: LoadError) -> Self {
        Abort::usage(error.to_string())
    }
}

impl From<io::Error> for Abort {
    fn from(error: io::Error) -> Self {
        Abort::lab(format!("cannot write the report: {error}"))
    }
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Run(args) => run_command(args),
        Command::Check(args) => check(&args.paths),
        Command::Explain(args) => explain_command(&args.scenarios),
        Command::Up(args) => crate::up::run(&args),
        Command::Smdp(args) => crate::smdp_cmd::run(&args),
        Command::Order(args) => crate::smdp_cmd::order(&args),
        Command::Bench(command) => crate::bench::run(&command),
        Command::Models => models(),
        Command::Pki(PkiCommand::New { folder }) => new_pki(&folder),
        Command::Lpad { arguments } => {
            return lpad::main_with(std::iter::once("esimlab lpad".into()).chain(arguments));
        }
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(abort) => {
            let _ = writeln!(io::stderr(), "esimlab: {}", abort.message);
            ExitCode::from(abort.code)
        }
    }
}

/// A runtime with at least two threads: a card that computes must not hold up the terminal that is beside it.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Abort> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| Abort::lab(format!("cannot start: {error}")))
}

fn folder() -> &'static Path {
    Path::new(DEFAULT_FOLDER)
}

// run

fn run_command(args: RunArgs) -> Result<u8, Abort> {
    let found = find(&args.scenarios, folder())?;
    let mut scenarios = load_all(&found)?;
    if let Some(text) = &args.filter {
        let text = text.to_lowercase();
        scenarios.retain(|loaded| {
            [&loaded.id, &loaded.scenario.title].iter().any(|place| place.to_lowercase().contains(&text))
        });
    }
    if let Some(shard) = args.shard {
        scenarios = shard.select(scenarios);
    }
    if scenarios.is_empty() {
        return Err(Abort { code: exit::NOTHING_SELECTED, message: "no scenario is selected".to_owned() });
    }
    if args.list {
        let width = scenarios.iter().map(|loaded| loaded.id.chars().count()).max().unwrap_or(0);
        print(
            &scenarios
                .iter()
                .map(|loaded| format!("{:<width$}  {}\n", loaded.id, loaded.scenario.title))
                .collect::<String>(),
        );
        return Ok(exit::PASSED);
    }
    let assistant = match args.lpa {
        Some(program) => Assistant::program(program),
        None => Assistant::built_in().map_err(|error| Abort::lab(format!("cannot find this program: {error}")))?,
    };
    let seed = match args.seed {
        Some(seed) => seed,
        None => {
            // 32 bits are enough for a choice, and short enough to be typed.
            let mut bytes = [0; 4];
            SystemRandom.fill(&mut bytes);
            u64::from(u32::from_le_bytes(bytes))
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options { jobs: args.jobs.map_or(processors, usize::from), seed, assistant };
    let reports = Reports::open(args.junit, args.json, args.tap)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        tokio::select! {
            result = run_and_report(Arc::new(crate::runner::emulation::Emulation), scenarios, &options, reports) => {
                result.map(|result| result.exit_code())
            }
            // What was running is taken down as the future is dropped.
            signal = ended_from_outside() => Err(Abort { code: 128 + signal, message: "interrupted".to_owned() }),
        }
    })
}

/// Waits for SIGINT or SIGTERM and gives its number: the exit code is 128 more, as shells have it.
pub(crate) async fn ended_from_outside() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = async |kind: SignalKind| match signal(kind) {
        Ok(mut signal) => drop(signal.recv().await),
        // Without a handler the system ends the program by itself.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => 2,
        () = wait(SignalKind::terminate()) => 15,
    }
}

/// The report files, opened before anything is run: a name that cannot be written is told at once.
struct Reports {
    junit: Option<(PathBuf, File)>,
    json: Option<File>,
    tap: Option<(PathBuf, File)>,
}

impl Reports {
    fn open(junit: Option<PathBuf>, json: Option<PathBuf>, tap: Option<PathBuf>) -> Result<Self, Abort> {
        let open = |path: Option<PathBuf>| {
            path.map(|path| match File::create(&path) {
                Ok(file) => Ok((path, file)),
                Err(error) => Err(Abort::usage(format!("cannot write {}: {error}", path.display()))),
            })
            .transpose()
        };
        Ok(Reports { junit: open(junit)?, json: open(json)?.map(|(_, file)| file), tap: open(tap)? })
    }

    fn write(self, result: &RunResult) -> Result<(), Abort> {
        let failed = |path: &Path, error: &dyn std::fmt::Display| {
            Abort::lab(format!("cannot write the report {}: {error}", path.display()))
        };
        if let Some((path, mut file)) = self.junit {
            let text = junit::render(result).map_err(|error| failed(&path, &error))?;
            file.write_all(text.as_bytes()).map_err(|error| failed(&path, &error))?;
        }
        if let Some((path, mut file)) = self.tap {
            file.write_all(tap::render(result).as_bytes()).map_err(|error| failed(&path, &error))?;
        }
        Ok(())
    }
}

async fn run_and_report<T: Target>(
    target: Arc<T>,
    scenarios: Vec<LoadedScenario>,
    options: &Options,
    mut reports: Reports,
) -> Result<RunResult, Abort> {
    let info = RunInfo {
        seed: options.seed,
        scenarios: scenarios.len(),
        jobs: options.jobs,
        lpa: options.assistant.name.clone(),
    };
    let ids: Vec<String> = scenarios.iter().map(|loaded| loaded.id.clone()).collect();
    let mut terminal = Terminal::begin(io::stdout(), Style::of_stdout(), &info, ids.iter().map(String::as_str))?;
    let mut json = reports.json.take().map(|file| JsonLines::begin(file, &info)).transpose()?;
    // A report that cannot be written does not end the run; it is told at the end. A terminal that nobody reads any
    // more is no mistake: the exit code tells what came of the run.
    let mut written: io::Result<()> = Ok(());
    let result = run(target, scenarios, options, |progress| match progress {
        Progress::Started(id) => drop(terminal.started(id)),
        Progress::Finished(result) => {
            drop(terminal.finished(result));
            if let (Some(json), Ok(())) = (&mut json, &written) {
                written = json.scenario(result);
            }
        }
    })
    .await;
    drop(terminal.end(&result));
    written?;
    if let Some(mut json) = json {
        json.end(&result)?;
    }
    reports.write(&result)?;
    Ok(result)
}

// check, explain, models

fn load_all(found: &[ScenarioPath]) -> Result<Vec<LoadedScenario>, Abort> {
    let vocabulary = Vocabulary::of_this_program();
    let mut scenarios = Vec::new();
    let mut wrong = 0;
    for file in found {
        match load(file, &vocabulary)? {
            Ok(loaded) => scenarios.push(loaded),
            Err(mistakes) => {
                wrong += 1;
                tell(&mistakes);
            }
        }
    }
    match wrong {
        0 => Ok(scenarios),
        1 => Err(Abort::usage("a scenario cannot be read; nothing is run")),
        count => Err(Abort::usage(format!("{count} scenarios cannot be read; nothing is run"))),
    }
}

/// Tells the mistakes of a file on standard error.
fn tell(mistakes: &Mistakes) {
    let stderr = io::stderr();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let width = rustix::termios::tcgetwinsize(&stderr).map_or(100, |size| usize::from(size.ws_col).clamp(60, 120));
    let text = mistakes.render(stderr.is_terminal() && !plain, width);
    let _ = writeln!(stderr.lock(), "{}", text.trim_end());
}

/// Prints to standard output; whoever has stopped reading has stopped reading.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn check(paths: &[String]) -> Result<u8, Abort> {
    let (models, scenarios): (Vec<String>, Vec<String>) = paths.iter().cloned().partition(|path| is_model(path));
    let mut wrong = 0;
    for path in &models {
        let text =
            std::fs::read_to_string(path).map_err(|error| Abort::usage(format!("cannot read {path}: {error}")))?;
        if let Err(error) = modem::Model::from_toml(&text) {
            wrong += 1;
            let _ = writeln!(io::stderr(), "{path}: {error}");
        }
    }
    let found = match scenarios.is_empty() && !models.is_empty() {
        true => Vec::new(),
        false => find(&scenarios, folder())?,
    };
    let vocabulary = Vocabulary::of_this_program();
    for file in &found {
        match load(file, &vocabulary)? {
            Ok(loaded) if loaded.warnings.list.is_empty() => {}
            Ok(loaded) => tell(&loaded.warnings),
            Err(mistakes) => {
                wrong += 1;
                tell(&mistakes);
            }
        }
    }
    let checked = found.len() + models.len();
    if checked == 0 {
        return Err(Abort { code: exit::NOTHING_SELECTED, message: "there is nothing to check".to_owned() });
    }
    match wrong {
        0 => {
            print(&format!("{checked} {} checked, no mistake\n", if checked == 1 { "file" } else { "files" }));
            Ok(exit::PASSED)
        }
        _ => Err(Abort::usage(format!("{wrong} of {checked} files have mistakes"))),
    }
}

/// Whether a path is the file of a model: it has a table `identity` and no `format`.
fn is_model(path: &str) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    match text.parse::<toml::Table>() {
        Ok(table) => table.contains_key("identity") && !table.contains_key("format"),
        Err(_) => false,
    }
}

fn explain_command(scenarios: &[String]) -> Result<u8, Abort> {
    let scenarios = load_all(&find(scenarios, folder())?)?;
    let texts: Vec<String> = scenarios.iter().map(|loaded| explain(&loaded.id, &loaded.scenario)).collect();
    print(&texts.join("\n\n"));
    Ok(exit::PASSED)
}

fn models() -> Result<u8, Abort> {
    for name in modem::Model::names() {
        let model = modem::Model::named(name).map_err(|error| Abort::lab(error.to_string()))?;
        let note = model.note.trim().replace('\n', " ");
        let identity = format!("{} {}, {}", model.identity.manufacturer, model.identity.model, model.identity.revision);
        print(&format!("{name:<12} {identity}\n"));
        if !note.is_empty() {
            print(&format!("{:<12} {note}\n", ""));
        }
    }
    Ok(exit::PASSED)
}

// pki

fn new_pki(folder: &Path) -> Result<u8, Abort> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Abort::usage(format!("{} is not empty; give a folder of its own", folder.display())));
    }
    let made = pki::Pki::generate(&pki::PkiSpec::default(), &mut SystemRandom, now);
    made.and_then(|pki| pki.write(folder)).map_err(|error| Abort::lab(error.to_string()))?;
    print(&format!("a test PKI is in {}\n", folder.display()));
    Ok(exit::PASSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_of_lpad_are_passed_on_as_they_are() {
        let cli = Cli::try_parse_from(["esimlab", "lpad", "--help", "-A", "1$x$y", "--", "--json"]).unwrap();
        let Command::Lpad { arguments } = cli.command else { panic!("{cli:?}") };
        assert_eq!(arguments, ["--help", "-A", "1$x$y", "--", "--json"]);
    }

    #[test]
    fn wrong_arguments_are_told() {
        for wrong in [
            &["esimlab", "run", "--shard", "5/4"][..],
            &["esimlab", "run", "-j", "0"],
            &["esimlab", "run", "--unknown"],
            &["esimlab", "explain"],
            &["esimlab", "pki", "new"],
            &["esimlab"],
        ] {
            let error = Cli::try_parse_from(wrong).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }
}
