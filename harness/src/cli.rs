//! The command line of the program.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use rsp::crypto::{Random, SystemRandom};

use crate::hardware::permission::AllowWrite;
use crate::hardware::target::Bench;
use crate::real_server::RealServer;
use crate::real_server::args::RealServerArgs;
use crate::report::html::{self, Named};
use crate::report::json::JsonLines;
use crate::report::merge::{Input, merge};
use crate::report::terminal::{Style, Terminal};
use crate::report::{junit, pcap, tap};
use crate::runner::assistant::{Assistant, ChoiceError};
use crate::runner::emulation::Emulation;
use crate::runner::flaky;
use crate::runner::result::{Place, exit};
use crate::runner::{Options, Progress, Target, run_until};
use crate::scenario::error::Mistakes;
use crate::scenario::explain::explain;
use crate::scenario::load::{DEFAULT_FOLDER, LoadError, LoadedScenario, ScenarioPath, Shard, find, load};
use crate::scenario::parse::Vocabulary;
use crate::toml_file;

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
    Run(Box<RunArgs>),
    /// Read scenarios and models and tell the mistakes in them
    Check(CheckArgs),
    /// Tell in words what a scenario does, and why
    Explain(ExplainArgs),
    /// Join the JSON reports of runs that were split, or made against several targets
    Merge(MergeArgs),
    /// Print the JSON Schema of the scenario language, for editors
    Schema(SchemaArgs),
    /// Wire up a lab and keep it running until Ctrl-C
    Up(crate::up::UpArgs),
    /// Hold a real modem against the note and a model, command by command, with its response times
    Compare(crate::hardware::compare::CompareArgs),
    /// Write down what is said to a modem and what it answers
    Record(crate::dialogue::record::RecordArgs),
    /// Put a transcript in the place of a modem
    Replay(crate::dialogue::replay::ReplayArgs),
    /// Run the SM-DP+ alone, with its management API, until Ctrl-C
    Smdp(crate::smdp_cmd::SmdpArgs),
    /// Orders of an SM-DP+ that `esimlab smdp` runs
    Order(crate::order_cmd::OrderArgs),
    /// Measure how long things take, beside the bare cost of what they are made of
    #[command(subcommand)]
    Bench(crate::bench::BenchCommand),
    /// List the models of the modem
    Models,
    /// List the cards that are built in, or print the file of one, to begin one's own with
    Cards {
        /// A built-in card
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Make a test PKI
    #[command(subcommand)]
    Pki(PkiCommand),
    /// Look into profile packages, and make them
    #[command(subcommand)]
    Profile(crate::profile::ProfileCommand),
    /// The LPA: the same as the program `lpad`
    #[command(disable_help_flag = true)]
    Lpad {
        /// The arguments of `lpad`; `esimlab lpad --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Waits for the end of the process that has started it, and takes away what that has left
    #[command(name = crate::tidy::WATCHER, hide = true)]
    TidyUpAfter {
        /// The folder of that process
        nest: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("real").args(["modem", "smdp"]).multiple(true))]
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

    /// Run each scenario N times with the same seed, and tell those that do not end the same each time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: Option<u32>,

    /// How many scenarios at the same time; as many as there are processors when not given
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// The seed of all random choices, to repeat a run
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// The LPA to test: `lpad` or `lpac`; a description FILE.toml; a command line, as in
    /// 'my-lpa {tty} {activation_code}'; or a program with the command line of `lpad`
    #[arg(long, value_name = "LPA", default_value = "lpad")]
    lpa: String,

    /// Run on a real modem: the terminals of its AT ports, separated by commas
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    modem: Vec<PathBuf>,

    /// What may be changed on the card of a real modem: nothing when not given. It is put back afterwards
    #[arg(long, value_name = "WHAT", default_value = "none", requires = "modem")]
    allow_write: AllowWrite,

    /// A folder of certificates and keys, laid out like SGP.26. With --modem: of an SM-DP+ that its card trusts, which
    /// the lab plays then. With --smdp: of the emulated card, under a CI that the server trusts
    #[arg(long, value_name = "DIR", requires = "real")]
    pki: Option<PathBuf>,

    #[command(flatten)]
    server: RealServerArgs,

    /// Write the report as JSON lines, timelines included
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    #[command(flatten)]
    files: ReportFiles,
}

/// The report files that are written when all is done.
#[derive(Debug, Args)]
struct ReportFiles {
    /// Write the report as one HTML page with the timelines as sequence diagrams
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Write the report as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Write the report as TAP 14
    #[arg(long, value_name = "FILE")]
    tap: Option<PathBuf>,

    /// Write everything for Wireshark (pcapng): APDUs, AT lines, the connections to the server with the secrets to
    /// decrypt them. These are put beside it as FILE.keys as well
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct MergeArgs {
    /// Files that `run --json` has written; parts of one run are joined, `NAME=FILE` tells different runs apart
    #[arg(value_name = "[NAME=]FILE", required = true)]
    reports: Vec<String>,

    #[command(flatten)]
    files: ReportFiles,
}

#[derive(Debug, Args)]
struct SchemaArgs {
    /// Print the schema of the lines of `run --json` instead
    #[arg(long)]
    report: bool,
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
    /// Make a certificate revocation list, for cards that take them (`esimlab up --card crl`, `lpad --load-crl`)
    Crl(crate::pki_cmd::CrlArgs),
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

impl From<Mistakes> for Abort {
    /// Tells the mistakes, and gives up.
    fn from(mistakes: Mistakes) -> Self {
        tell(&mistakes);
        Abort::usage(mistakes.to_string())
    }
}

impl From<ChoiceError> for Abort {
    fn from(error: ChoiceError) -> Self {
        match error {
            ChoiceError::Mistakes(mistakes) => mistakes.into(),
            other => Abort::usage(other.to_string()),
        }
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
        Command::Run(args) => run_command(*args),
        Command::Check(args) => check(&args.paths),
        Command::Explain(args) => explain_command(&args.scenarios),
        Command::Merge(args) => merge_command(args),
        Command::Schema(args) => {
            let schema = if args.report { crate::schema::report() } else { crate::schema::scenario() };
            print(&crate::schema::text(&schema));
            Ok(exit::PASSED)
        }
        Command::Up(args) => crate::up::run(&args),
        Command::Compare(args) => crate::hardware::compare::run(args),
        Command::Record(args) => crate::dialogue::record::run(&args),
        Command::Replay(args) => crate::dialogue::replay::run(&args),
        Command::Smdp(args) => crate::smdp_cmd::run(&args),
        Command::Order(args) => crate::order_cmd::run(&args),
        Command::Bench(command) => crate::bench::run(&command),
        Command::Models => models(),
        Command::Cards { name: Some(name) } => card_file(&name),
        Command::Cards { name: None } => cards(),
        Command::Pki(PkiCommand::New { folder }) => new_pki(&folder),
        Command::Pki(PkiCommand::Crl(args)) => crate::pki_cmd::crl(&args),
        Command::Profile(command) => crate::profile::run(&command),
        Command::Lpad { arguments } => {
            return lpad::main_with(std::iter::once("esimlab lpad".into()).chain(arguments));
        }
        Command::TidyUpAfter { nest } => {
            crate::tidy::watch(&nest);
            Ok(exit::PASSED)
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
    let mut scenarios = load_all(&found, &args.scenarios)?;
    if let Some(text) = &args.filter {
        let text = text.to_lowercase();
        scenarios.retain(|loaded| {
            [&loaded.id, &loaded.scenario.title].iter().any(|place| place.to_lowercase().contains(&text))
        });
    }
    if let Some(shard) = args.shard {
        scenarios = shard.select(scenarios);
    }
    if let Some(times) = args.repeat {
        scenarios = flaky::repeated(scenarios, times);
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
    let mut assistant = Assistant::chosen(&args.lpa)?;
    assistant.check_program()?;
    let record_traffic = args.files.pcap.is_some();
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
    let shard = args.shard.map(|shard| shard.to_string());
    let jobs = match (args.modem.is_empty(), args.jobs) {
        // There is only one modem on the bench.
        (false, _) => 1,
        (true, Some(jobs)) => usize::from(jobs),
        // A server that others use too is not hurried.
        (true, None) if args.server.is_given() => 1,
        (true, None) => processors,
    };
    let jobs = crate::descriptors::jobs_that_fit(jobs);
    let mut place = Place { options: options_of(&args), ..Place::default() };
    let server = args.server.open(args.pki.as_ref(), !args.modem.is_empty())?.map(Arc::new);
    if let Some(server) = &server {
        assistant.asks_for_names = true;
        place.server = Some(server.url.to_string());
        scenarios = scenarios.into_iter().map(|loaded| server.fit(loaded)).collect();
    }
    args.files.are_different(args.json.as_deref())?;
    let json = args.json.map(|path| created(&path)).transpose()?;
    let reports = Reports::open(args.files)?;
    // Dropped last. Without it a run goes on just as well; after a `kill -9` the next start tidies up.
    let _guard = crate::tidy::Guard::start();
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut from_outside = Ended::listen();
        if !args.modem.is_empty() {
            let bench = Bench::open(args.modem, args.allow_write, args.pki, server.clone()).await;
            let mut bench = bench.map_err(|error| Abort::usage(error.to_string()))?;
            bench.record_traffic = record_traffic;
            let bench = Arc::new(bench);
            let _ = writeln!(io::stderr(), "{}", bench.words());
            place.modem = Some(bench.name());
            let options = Options { jobs, seed, assistant, shard, place };
            let scenarios = scenarios.into_iter().map(|loaded| bench.fit(loaded)).collect();
            let target = Arc::new(Arc::clone(&bench));
            let ended = run_and_report(target, scenarios, &options, json, reports, &mut from_outside).await;
            // A scenario that was interrupted has not put the card back.
            if ended.as_ref().is_err_and(|abort| abort.code > exit::NOTHING_SELECTED)
                && let Err(problem) = bench.put_back().await
            {
                let _ = writeln!(io::stderr(), "esimlab: {problem}");
            }
            return match &server {
                Some(server) => put_back_at(server).await.and(ended),
                None => ended,
            };
        }
        let options = Options { jobs, seed, assistant, shard, place };
        if let Some(server) = server {
            let target = Arc::new(Arc::clone(&server));
            let ended = run_and_report(target, scenarios, &options, json, reports, &mut from_outside).await;
            return put_back_at(&server).await.and(ended);
        }
        run_and_report(Arc::new(Emulation { record_traffic }), scenarios, &options, json, reports, &mut from_outside)
            .await
    })
}

/// Takes back the orders of scenarios that were not ended in order, and tells what could not be put back.
async fn put_back_at(server: &Arc<RealServer>) -> Result<(), Abort> {
    let taken_back = server.take_all_back().await;
    for left in server.left() {
        let _ = writeln!(io::stderr(), "left at {}: {left}", server.url);
    }
    taken_back.map_err(Abort::lab)
}

/// The options that make a run like this one: they are told with a scenario that has failed, so that it can be run
/// again under the same conditions.
fn options_of(args: &RunArgs) -> String {
    let mut options = Vec::new();
    if args.lpa != "lpad" {
        options.push(("--lpa", args.lpa.clone()));
    }
    options.extend(args.modem.iter().map(|tty| ("--modem", tty.display().to_string())));
    if args.allow_write != AllowWrite::None {
        options.push(("--allow-write", args.allow_write.to_string()));
    }
    options.extend(args.pki.iter().map(|folder| ("--pki", folder.display().to_string())));
    options.extend(args.server.options());
    let words = options.iter().flat_map(|(name, value)| [*name, value.as_str()]);
    shlex::try_join(words).unwrap_or_default()
}

/// What ends the program from outside: SIGINT, SIGTERM, or SIGHUP when the terminal is closed or the connection to it is
/// lost.
pub(crate) struct Ended(Vec<(u8, tokio::signal::unix::Signal)>);

impl Ended {
    /// Listens from now on: before anybody is told that all is ready, so that none comes unheard. Has to be called
    /// inside a tokio runtime.
    pub(crate) fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        // nohup has SIGHUP ignored, and it stays so. A shell has SIGINT ignored in what a script starts in the
        // background, which is no wish of anybody: `kill -INT` there has to end a lab in order, as Ctrl-C does.
        let ignored = ignored_signals(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
        let heard = [1, 2, 15].into_iter().filter(|number| *number != 1 || ignored & 1 == 0);
        // Without a handler the system ends the program by itself.
        Ended(
            heard.filter_map(|number: u8| Some((number, signal(SignalKind::from_raw(number.into())).ok()?))).collect(),
        )
    }

    /// Waits for one of them and gives its number: the exit code is 128 more, as shells have it.
    pub(crate) async fn come(&mut self) -> u8 {
        std::future::poll_fn(|context| {
            let mut come = std::task::Poll::Pending;
            for (number, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    come = std::task::Poll::Ready(*number);
                }
            }
            come
        })
        .await
    }
}

/// The set of signals that are ignored, the first in the lowest bit (proc(5): `SigIgn`).
fn ignored_signals(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

/// The report files, opened before anything is run: a name that cannot be written is told at once.
struct Reports {
    files: Vec<(Form, PathBuf, File)>,
}

/// The form of a report file.
#[derive(Debug, Clone, Copy)]
enum Form {
    Html,
    JUnit,
    Tap,
    Pcap,
    Keys,
}

impl ReportFiles {
    /// Tells when two reports are to go into one file, where one would overwrite the other.
    fn are_different(&self, json: Option<&Path>) -> Result<(), Abort> {
        let ReportFiles { html, junit, tap, pcap } = self;
        let all = [html, junit, tap, pcap].into_iter().filter_map(|path| path.as_deref()).chain(json);
        let mut seen: Vec<PathBuf> = Vec::new();
        // What is no file of its own, as /dev/stdout, can take more than one.
        for path in all.filter(|path| !path.starts_with("/dev")) {
            let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            if seen.contains(&absolute) {
                return Err(Abort::usage(format!("two reports would be written into {}", path.display())));
            }
            seen.push(absolute);
        }
        Ok(())
    }
}

fn created(path: &Path) -> Result<File, Abort> {
    File::create(path).map_err(|error| Abort::usage(format!("cannot write {}: {error}", path.display())))
}

/// A file that begins empty, and that only its owner may read.
fn created_private(path: &Path) -> Result<File, Abort> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    // One that was there before keeps its mode.
    let private = file.and_then(|file| {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        Ok(file)
    });
    private.map_err(|error| Abort::usage(format!("cannot write {}: {error}", path.display())))
}

/// The file for the TLS secrets that belong to a capture.
fn keys_beside(capture: &Path) -> PathBuf {
    let mut path = capture.as_os_str().to_owned();
    path.push(".keys");
    PathBuf::from(path)
}

impl Reports {
    fn open(files: ReportFiles) -> Result<Self, Abort> {
        let ReportFiles { html, junit, tap, pcap } = files;
        let keys = pcap.as_deref().map(keys_beside);
        let wanted =
            [(Form::Html, html), (Form::JUnit, junit), (Form::Tap, tap), (Form::Pcap, pcap), (Form::Keys, keys)];
        let files = wanted.into_iter().filter_map(|(form, path)| Some((form, path?))).map(|(form, path)| {
            let file = match form {
                // Both have the secrets of TLS sessions.
                Form::Pcap | Form::Keys => created_private(&path)?,
                _ => created(&path)?,
            };
            Ok((form, path, file))
        });
        Ok(Reports { files: files.collect::<Result<_, Abort>>()? })
    }

    fn write(self, runs: &[Named]) -> Result<(), Abort> {
        for (form, path, mut file) in self.files {
            let failed = |error: &dyn std::fmt::Display| {
                Abort::lab(format!("cannot write the report {}: {error}", path.display()))
            };
            let bytes = match form {
                Form::Html => html::render(runs).into_bytes(),
                Form::JUnit => junit::render(runs).map_err(|error| failed(&error))?.into_bytes(),
                Form::Tap => tap::render(runs).into_bytes(),
                Form::Pcap => pcap::render(runs),
                Form::Keys => pcap::key_log(runs).into_bytes(),
            };
            file.write_all(&bytes).map_err(|error| failed(&error))?;
        }
        Ok(())
    }
}

// merge

fn merge_command(args: MergeArgs) -> Result<u8, Abort> {
    let inputs: Vec<Input> = args.reports.iter().map(|report| input(report)).collect::<Result<_, _>>()?;
    let merged = merge(&inputs).map_err(|error| Abort::usage(error.to_string()))?;
    args.files.are_different(None)?;
    let reports = Reports::open(args.files)?;
    for named in &merged.runs {
        let ids = named.run.scenarios.iter().map(|scenario| scenario.id.as_str());
        if merged.runs.len() > 1 {
            print(&format!("== {}\n", named.name));
        }
        let mut terminal = Terminal::begin(io::stdout(), Style::of_stdout(), &named.run.info, ids)?;
        for scenario in &named.run.scenarios {
            drop(terminal.finished(scenario));
        }
        drop(terminal.end(&named.run));
    }
    reports.write(&merged.runs)?;
    for missing in &merged.missing {
        let _ = writeln!(io::stderr(), "esimlab: {missing}");
    }
    Ok(merged.exit_code())
}

/// A report file to be merged, `NAME=FILE` or `FILE`. A file whose name has a `=` in it is taken as it is.
fn input(text: &str) -> Result<Input, Abort> {
    let (name, file) = match text.split_once('=') {
        Some((name, file)) if !Path::new(text).exists() => (Some(name.to_owned()), file),
        _ => (None, text),
    };
    let text = std::fs::read_to_string(file).map_err(|error| Abort::usage(format!("cannot read {file}: {error}")))?;
    Ok(Input { name, file: file.to_owned(), text })
}

/// The scenarios that are meant, read.
pub(crate) fn load_selected(scenarios: &[String]) -> Result<Vec<LoadedScenario>, Abort> {
    load_all(&find(scenarios, folder())?, scenarios)
}

/// Runs scenarios and writes the reports; gives the exit code. What is interrupted is reported as far as it came.
async fn run_and_report<T: Target>(
    target: Arc<T>,
    scenarios: Vec<LoadedScenario>,
    options: &Options,
    json: Option<File>,
    reports: Reports,
    from_outside: &mut Ended,
) -> Result<u8, Abort> {
    let info = options.info(scenarios.len());
    let ids: Vec<String> = scenarios.iter().map(|loaded| loaded.id.clone()).collect();
    let mut terminal = Terminal::begin(io::stdout(), Style::of_stdout(), &info, ids.iter().map(String::as_str))?;
    let mut json = json.map(|file| JsonLines::begin(file, &info)).transpose()?;
    // A report that cannot be written does not end the run; it is told at the end. A terminal that nobody reads any
    // more is no mistake: the exit code tells what came of the run.
    let mut written: io::Result<()> = Ok(());
    let progress = |progress: Progress<'_>| match progress {
        Progress::Started(id) => drop(terminal.started(id)),
        Progress::Finished(result) => {
            drop(terminal.finished(result));
            if let (Some(json), Ok(())) = (&mut json, &written) {
                written = json.scenario(result);
            }
        }
    };
    let (result, interrupted) = run_until(target, scenarios, options, progress, from_outside.come()).await;
    drop(terminal.end(&result));
    let flaky = flaky::found(&result.scenarios);
    if !flaky.is_empty() {
        print(&flaky::told(&flaky));
    }
    written?;
    // Without its last line a report is one that was cut off, for whoever reads it.
    if let (Some(mut json), None) = (json, interrupted) {
        json.end(&result)?;
    }
    let ended = match interrupted {
        None => Ok(result.exit_code()),
        Some(signal) => {
            let (ended, all) = (result.scenarios.len(), ids.len());
            let message = format!("interrupted: {ended} of {all} scenarios have ended");
            Err(Abort { code: 128 + signal, message })
        }
    };
    reports.write(&[Named { name: result.info.name(), run: result }])?;
    ended
}

// check, explain, models

/// Reads the scenarios that were found, and tells the mistakes of all of them.
///
/// Models, cards and networks that stand beside the scenarios of a folder are none, and are passed over.
fn load_all(found: &[ScenarioPath], arguments: &[String]) -> Result<Vec<LoadedScenario>, Abort> {
    let vocabulary = Vocabulary::of_this_program();
    let mut scenarios = Vec::new();
    let mut wrong = 0;
    for file in found {
        // What cannot be read is told below.
        match std::fs::read(&file.path).map_or(Content::Scenario, |text| Content::of(&String::from_utf8_lossy(&text))) {
            Content::Scenario => {}
            other if arguments.iter().any(|argument| Path::new(argument) == file.path) => {
                return Err(Abort::usage(format!("{} describes {other}, it is no scenario", file.path.display())));
            }
            _ => continue,
        }
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
pub(crate) fn tell(mistakes: &Mistakes) {
    let stderr = io::stderr();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let width = rustix::termios::tcgetwinsize(&stderr).map_or(100, |size| usize::from(size.ws_col).clamp(60, 120));
    let text = mistakes.render(stderr.is_terminal() && !plain, width);
    let _ = writeln!(stderr.lock(), "{}", text.trim_end());
}

/// Prints to standard output; whoever has stopped reading has stopped reading.
pub(crate) fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn check(paths: &[String]) -> Result<u8, Abort> {
    let found = find(paths, folder())?;
    let vocabulary = Vocabulary::of_this_program();
    let mut wrong = 0;
    for file in &found {
        let path = file.path.display().to_string();
        let text = std::fs::read_to_string(&file.path)
            .map_err(|error| Abort::usage(format!("cannot read {path}: {error}")))?;
        let read = match Content::of(&text) {
            Content::Scenario => None,
            Content::Model => Some(toml_file::model(&path, &text).map(drop)),
            Content::Card => Some(toml_file::card(&path, &text).map(drop)),
            Content::Network => Some(toml_file::network(&path, &text).map(drop)),
        };
        if let Some(read) = read {
            if let Err(mistakes) = read {
                wrong += 1;
                tell(&mistakes);
            }
            continue;
        }
        match load(file, &vocabulary)? {
            Ok(loaded) if loaded.warnings.list.is_empty() => {}
            Ok(loaded) => tell(&loaded.warnings),
            Err(mistakes) => {
                wrong += 1;
                tell(&mistakes);
            }
        }
    }
    let checked = found.len();
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

/// What a file of TOML describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Scenario,
    Model,
    Card,
    Network,
}

impl std::fmt::Display for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Content::Scenario => "a scenario",
            Content::Model => "a model of a modem",
            Content::Card => "a card",
            Content::Network => "a mobile network",
        })
    }
}

impl Content {
    /// Told apart by the keys at the top, of which each kind has its own; what has none of them is taken for a scenario.
    fn of(text: &str) -> Self {
        const CARD: [&str; 8] = ["note", "eid", "isdr_aid", "memory", "quirks", "profile", "ci", "trusted"];
        if text.lines().any(|line| line.starts_with("format")) {
            return Content::Scenario;
        }
        let is_there: Box<dyn Fn(&str) -> bool> = match text.parse::<toml::Table>() {
            Ok(table) => Box::new(move |key| table.contains_key(key)),
            // What is no TOML is told apart by its lines.
            Err(_) => Box::new(|key| {
                let begins = |line: &str| {
                    let line = line.trim_start().trim_start_matches('[');
                    line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(['=', ']', '.']))
                };
                text.lines().any(begins)
            }),
        };
        if ["format", "title", "step"].into_iter().any(&is_there) {
            return Content::Scenario;
        }
        match () {
            () if is_there("identity") => Content::Model,
            () if is_there("operator") || is_there("subscription") => Content::Network,
            () if CARD.into_iter().any(is_there) => Content::Card,
            () => Content::Scenario,
        }
    }
}

fn explain_command(scenarios: &[String]) -> Result<u8, Abort> {
    let scenarios = load_all(&find(scenarios, folder())?, scenarios)?;
    let texts: Vec<String> = scenarios.iter().map(|loaded| explain(&loaded.id, &loaded.scenario)).collect();
    print(&texts.join("\n\n"));
    Ok(exit::PASSED)
}

fn models() -> Result<u8, Abort> {
    let names = modem::Model::names();
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    for name in names {
        let model = modem::Model::named(name).map_err(|error| Abort::lab(error.to_string()))?;
        let identity = format!("{} {}, {}", model.identity.manufacturer, model.identity.model, model.identity.revision);
        print(&format!("{name:<width$}  {identity}\n"));
        if !model.note.is_empty() {
            print(&format!("{:<width$}  {} ({})\n", "", model.note.trim().replace('\n', " "), model.source));
        }
    }
    Ok(exit::PASSED)
}

fn card_file(name: &str) -> Result<u8, Abort> {
    print(euicc::spec::CardSpec::text(name).map_err(|error| Abort::usage(error.to_string()))?);
    Ok(exit::PASSED)
}

fn cards() -> Result<u8, Abort> {
    for name in euicc::spec::CardSpec::names() {
        let card = euicc::spec::CardSpec::named(name).map_err(|error| Abort::lab(error.to_string()))?;
        print(&format!("{name:<20} {}\n", card.note.replace('\n', " ")));
    }
    Ok(exit::PASSED)
}

/// The model that `--model` asks for: a name, or a file of one's own.
pub(crate) fn model(wanted: &str) -> Result<modem::Model, Abort> {
    let path = Path::new(wanted);
    if path.extension().is_none_or(|extension| extension != "toml") && !wanted.contains('/') {
        return modem::Model::named(wanted)
            .map_err(|error| Abort::usage(format!("{error}; a file is given with its ending, as in ./{wanted}.toml")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| Abort::usage(format!("cannot read {wanted}: {error}")))?;
    Ok(toml_file::model(wanted, &text)?)
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
    fn the_signals_that_are_ignored_are_read() {
        assert_eq!(ignored_signals("Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"), 0x1001);
        assert_eq!(ignored_signals(""), 0);
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
