//! The command on real servers: every subcommand takes a URL, credentials come from where the tools of the clouds keep them, and the commands
//! of `docs/stores.md` do what they say. `scripts/servers.sh cargo test -p array-format-cli --test stores` starts the servers; without it
//! every test here says that it was skipped.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use array_format_testkit::servers::{HONEST, address, direct, environment, fresh};

type Environment = Vec<(String, String)>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn data(name: &str) -> String {
    root().join("data").join(name).to_str().unwrap().to_owned()
}

/// The command, with nothing of the clouds in its environment but this.
fn af(environment: &Environment, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_af"));
    for (name, _) in std::env::vars() {
        if ["AWS_", "AZURE_", "GOOGLE_", "AF_CACHE"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    // A user without files of the AWS tools.
    command.env("HOME", "/nonexistent").envs(environment.clone()).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command says that ends with this exit code.
fn said(environment: &Environment, code: i32, arguments: &[&str]) -> String {
    let o = af(environment, arguments);
    assert_eq!(o.status.code(), Some(code), "{arguments:?}: {} {}", text(&o.stdout), text(&o.stderr));
    text(&o.stdout) + &text(&o.stderr)
}

#[test]
fn every_command_takes_a_url_where_it_takes_a_path() {
    for server in HONEST {
        let Some((environment, bucket)) = environment(server) else { continue };
        let folder = format!("{bucket}/{}", fresh("af"));
        let (file, theta) = (&*format!("{folder}/ocean.af"), "atlantic_profiles/theta");
        let ok = |arguments: &[&str]| said(&environment, 0, arguments);
        ok(&["import", file, &data("atlantic_profiles.nc"), &data("vlstr_type.nc")]);
        assert!(
            ok(&["ls", file]).contains("atlantic_profiles/theta  f32 (depth 40, lat 6, lon 8)"),
            "{server}"
        );
        assert!(ok(&["info", file, theta]).contains("f32"), "{server}");
        let before = ok(&["cat", file, theta, "3, 2, 1", "--json"]);
        ok(&["tag", file, "raw"]);
        ok(&["set", file, theta, "3, 2, 1", "-1.5", "-m", "recalibrated"]);
        assert!(ok(&["cat", file, theta, "3, 2, 1"]).contains("-1.5"), "{server}");
        assert_eq!(ok(&["cat", file, theta, "3, 2, 1", "--json", "--version", "1"]), before, "{server}");
        assert!(ok(&["stats", file, theta]).contains("-1.5"), "{server}");
        assert!(ok(&["log", file, "--changes"]).contains("recalibrated"), "{server}");
        assert_eq!(ok(&["tag", file]), "1  raw\n", "{server}");
        assert!(ok(&["gc", file, "--dry-run"]).contains("would be deleted"), "{server}");
        ok(&["tag", file, "raw", "--delete"]);
        ok(&["compact", file, "--incremental"]);
        ok(&["compact", file]);
        ok(&["gc", file]);
        assert!(ok(&["verify", file, "--statistics"]).contains("all is well"), "{server}");
        assert!(ok(&["dump", file]).contains("theta"), "{server}");
        let repaired = format!("{folder}/repaired.af");
        ok(&["repair", file, &repaired]);
        assert!(ok(&["ls", &repaired]).contains(theta), "{server}");

        // To this machine and back, and a source that lies there.
        let here = tempfile::tempdir().unwrap();
        let local = here.path().join("local.af");
        ok(&["repair", file, local.to_str().unwrap()]);
        let url = format!("file://{}", local.display());
        assert!(ok(&["ls", &url]).contains(theta), "{server}");
        let e = said(&environment, 1, &["ls", &format!("{folder}/nothing.af")]);
        assert!(e.contains("nothing.af") && e.contains("it is not there"), "{server}: {e}");
        assert_eq!(e.lines().count(), 1, "{server}: {e}");
        let e = said(&environment, 1, &["ls", &folder]);
        assert!(e.contains("is a folder"), "{server}: {e}");
    }
}

/// A web server serves what `af import` packs, and what it packs it into.
#[test]
fn sources_of_an_import_may_be_urls() {
    let Some(web) = address("WEB") else { return };
    let folder = PathBuf::from(std::env::var("AF_TEST_WEB_FOLDER").unwrap()).join(fresh("sources"));
    std::fs::create_dir(&folder).unwrap();
    let name = folder.file_name().unwrap().to_str().unwrap();
    for source in ["atlantic_profiles.nc", "space weather.nc"] {
        std::fs::copy(data(&source.replace(' ', "_")), folder.join(source)).unwrap();
    }
    let packed = folder.join("packed.af");
    let sources = ["atlantic_profiles.nc", "space%20weather.nc"].map(|s| format!("{web}/{name}/{s}"));
    let none = Environment::new();
    said(&none, 0, &["import", packed.to_str().unwrap(), &sources[0], &sources[1]]);
    // A web server lists no layers.
    said(&none, 0, &["compact", packed.to_str().unwrap()]);
    let url = format!("{web}/{name}/packed.af");
    assert!(said(&none, 0, &["ls", &url]).contains("atlantic_profiles/theta"));
    assert!(said(&none, 0, &["verify", &url]).contains("all is well"));
    let e = said(&none, 1, &["set", &url, "atlantic_profiles/theta", "0, 0, 0", "1"]);
    assert!(e.contains("only read"), "{e}");
    let e = said(&none, 3, &["import", packed.to_str().unwrap(), &format!("{web}/{name}/nothing.nc")]);
    assert!(e.contains("nothing.nc"), "{e}");
}

#[test]
fn credentials_come_from_options_the_environment_and_profiles() {
    let Some(endpoint) = direct("SEAWEEDFS") else { return };
    let file = format!("s3://bucket/{}/x.af", fresh("credentials"));
    let options = |pairs: &[(&str, &str)]| -> Vec<String> {
        pairs.iter().flat_map(|(n, v)| ["--store-option".to_owned(), format!("{n}={v}")]).collect()
    };
    let here = [("endpoint", &*endpoint), ("region", "us-east-1")];
    let keys = [("access_key_id", "test"), ("secret_access_key", "testtest")];
    let run = |environment: &Environment, code: i32, command: &[&str], pairs: &[(&str, &str)]| {
        let options = options(pairs);
        let arguments: Vec<&str> =
            command.iter().copied().chain(options.iter().map(String::as_str)).collect();
        said(environment, code, &arguments)
    };
    let of = |pairs: &[(&str, &str)]| -> Environment {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    };
    let source = data("vlstr_type.nc");
    let import = ["import", &*file, &*source];
    let all: Vec<_> = here.into_iter().chain(keys).collect();
    run(&Environment::new(), 0, &import, &all);

    let exported = of(&[
        ("AWS_ENDPOINT_URL_S3", endpoint.as_str()),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "testtest"),
    ]);
    run(&exported, 0, &["ls", &file], &[]);
    let e = run(&exported, 1, &["ls", &file], &[("secret_access_key", "wrong")]);
    assert!(e.contains("credentials") && !e.contains("testtest"), "what is said to the command wins: {e}");

    let folder = tempfile::tempdir().unwrap();
    let (credentials, config) = (folder.path().join("credentials"), folder.path().join("config"));
    std::fs::write(
        &credentials,
        "[lab]\naws_access_key_id = test\naws_secret_access_key = testtest\n[wrong]\naws_access_key_id = test\naws_secret_access_key = no\n",
    )
    .unwrap();
    std::fs::write(&config, format!(
        "[profile lab]\nregion = us-east-1\nendpoint_url = {endpoint}\n\
         [profile tool]\ncredential_process = echo '{{\"AccessKeyId\": \"test\", \"SecretAccessKey\": \"testtest\"}}'\n\
         [profile broken]\ncredential_process = echo not signed in >&2; false\n"
    ))
        .unwrap();
    let profile = |name: &str| {
        of(&[
            ("AWS_PROFILE", name),
            ("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap()),
            ("AWS_CONFIG_FILE", config.to_str().unwrap()),
        ])
    };
    run(&profile("lab"), 0, &["ls", &file], &[]);
    run(&profile("tool"), 0, &["ls", &file], &here);
    let e = run(&profile("broken"), 1, &["ls", &file, "--deadline", "5"], &here);
    assert!(e.contains("x.af") && e.contains("not signed in"), "{e}");
    assert!(run(&profile("wrong"), 1, &["ls", &file], &here).contains("credentials"));
    assert!(run(&profile("nobody"), 1, &["ls", &file], &here).contains("nobody"));
    let e = run(&Environment::new(), 1, &["ls", &file, "--deadline", "5"], &here);
    assert!(e.contains("no credentials were found"), "{e}");
}

/// `az` calls its variables otherwise than `object_store` does, and has connection strings; `abfs://` names the account, too.
#[test]
fn azure_is_reached_as_its_own_tools_reach_it() {
    let Some((named, _)) = environment("AZURITE") else { return };
    let value = |name: &str| named.iter().find(|(n, _)| n == name).unwrap().1.clone();
    let endpoint = value("AZURE_STORAGE_ENDPOINT");
    let (account, key) = (value("AZURE_STORAGE_ACCOUNT_NAME"), value("AZURE_STORAGE_ACCOUNT_KEY"));
    let folder = fresh("az");
    let file = format!("az://container/{folder}/x.af");
    said(&named, 0, &["import", &file, &data("vlstr_type.nc")]);
    let pairs = |pairs: &[(&str, &str)]| -> Environment {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    };
    let short = [
        ("AZURE_STORAGE_ENDPOINT", &*endpoint),
        ("AZURE_STORAGE_ACCOUNT", &*account),
        ("AZURE_STORAGE_KEY", &*key),
    ];
    said(&pairs(&short), 0, &["ls", &file]);
    let connection = format!(
        "DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};BlobEndpoint={endpoint};"
    );
    said(&pairs(&[("AZURE_STORAGE_CONNECTION_STRING", connection.as_str())]), 0, &["ls", &file]);
    let without_account = [("AZURE_STORAGE_ENDPOINT", &*endpoint), ("AZURE_STORAGE_KEY", &*key)];
    for host in [account.clone(), format!("{account}.dfs.core.windows.net")] {
        for scheme in ["abfs", "abfss", "az"] {
            let url = format!("{scheme}://container@{host}/{folder}/x.af");
            said(&pairs(&without_account), 0, &["ls", &url]);
        }
    }
}

/// What a user sees of a host that is not there, and when.
#[test]
fn a_deadline_is_kept_by_the_command() {
    let environment = Environment::from([
        ("AWS_ENDPOINT_URL".to_owned(), "http://127.0.0.1:9".to_owned()),
        ("AWS_ACCESS_KEY_ID".to_owned(), "a".to_owned()),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), "b".to_owned()),
    ]);
    let start = Instant::now();
    let e = said(&environment, 1, &["ls", "s3://bucket/x.af", "--deadline", "2"]);
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert!(e.contains("x.af") && e.lines().count() == 1, "{e}");
}

/// The commands of the page, as they stand there: the whole block, in one shell that stops at the first failure.
#[test]
fn the_commands_of_the_documentation_do_what_they_say() {
    if direct("SEAWEEDFS").is_none() {
        return;
    }
    let page = std::fs::read_to_string(root().join("docs/stores.md")).unwrap();
    let (_, tried) = page.split_once("## Commands that were tried").unwrap();
    let (_, block) = tried.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    assert!(block.lines().filter(|l| l.starts_with("af ")).count() >= 8, "{block}");
    // A name of this run: the page may be tried twice.
    let block = block.replace("ocean.af", &format!("{}.af", fresh("ocean")));
    let folder = Path::new(env!("CARGO_BIN_EXE_af")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &block]).env("PATH", path).current_dir(root());
    let o = shell.output().unwrap();
    assert!(o.status.success(), "{block}\n{}{}", text(&o.stdout), text(&o.stderr));
    assert!(text(&o.stdout).contains("all is well"), "{}", text(&o.stdout));
}
