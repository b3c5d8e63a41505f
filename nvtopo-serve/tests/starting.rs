//! The start of `nvtopod metrics`: places to listen on, tokens and certificates that it refuses, and its warnings.

use crate::program::{Program, Scratch, run};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

const BOARD: [&str; 2] = ["--from", "preset:dgx-h100"];

/// Asserts that it ends with code 2 and these words.
#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    let (code, told) = run(&[&BOARD[..], arguments].concat());
    assert!(code == Some(2) && words.iter().all(|word| told.contains(word)), "{code:?} {told}");
}

fn write(path: &std::path::Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn places_to_listen_on_are_names_and_ports_too() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&["--listen", &address], &[&format!("cannot listen on {address}: "), "no other program has"]);
    refused(
        &["--listen", "192.0.2.1:9417"],
        &["cannot listen on 192.0.2.1:9417", "an address of this machine"],
    );
    for wrong in ["127.0.0.1", "9417", "localhost:", ":", ":65536", "::9417", ""] {
        refused(&["--listen", wrong], &["localhost:9417, or :9417 for all addresses"]);
    }
    let local = Program::start(&[&BOARD[..], &["--listen", "localhost:0"]].concat());
    assert!(local.address.ip().is_loopback() && !local.log().contains("anybody"), "{}", local.log());
    let all = Program::start(&[&BOARD[..], &["--listen", ":0"]].concat());
    assert!(all.address.ip().is_unspecified() && all.log().contains("anybody who reaches"), "{}", all.log());
}

#[test]
fn tokens_that_no_request_can_bring_are_refused() {
    let file = Scratch::new("token");
    let long = "a".repeat(5000);
    for token in ["", " \n", "ab\ncd", "s\u{e9}", "s\u{1}", "a\tb", "\u{feff}secret", &long] {
        write(&file.0, token, 0o600);
        refused(&["--token-file", file.text()], &[file.text(), "1 to 4096 printable ASCII characters"]);
    }
    refused(&["--token-file", "/dev/zero"], &["/dev/zero: more than 64 MiB"]);
}

#[test]
fn secrets_that_others_know_are_told() {
    let file = Scratch::new("token");
    let started = |mode: u32, arguments: &[&str]| {
        write(&file.0, "sesame\n", mode);
        Program::start(&[&BOARD[..], arguments, &["--token-file", file.text()]].concat()).log()
    };
    assert!(!started(0o640, &[]).contains("user of this machine"));
    let words = |can: &str| format!("every user of this machine can {can} {}", file.text());
    assert!(started(0o644, &[]).contains(&words("read")));
    assert!(started(0o666, &[]).contains(&words("read and change")));
    let log = started(0o602, &["--listen", "0.0.0.0:0"]);
    assert!(log.contains(&words("change")) && log.contains("in the clear"), "{log}");
    assert_eq!(log.matches("in the clear").count(), 1);
}

/// Makes a key and a certificate of it, and returns their paths.
fn certificate(folder: &Scratch, name: &str) -> (String, String) {
    let path = |ending: &str| folder.0.join(format!("{name}.{ending}")).display().to_string();
    let (key, certificate) = (path("key"), path("pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-keyout", &key, "-out", &certificate])
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (key, certificate)
}

#[test]
fn certificates_and_keys_that_are_wrong_are_named() {
    let folder = Scratch::new("tls");
    std::fs::create_dir(&folder.0).unwrap();
    let ((key, certificate), (other, _)) = (certificate(&folder, "a"), certificate(&folder, "b"));
    let refused = |certificate: &str, key: &str, words: &[&str]| {
        refused(&["--tls-cert", certificate, "--tls-key", key], words);
    };
    let mismatch = format!("{other}: it is not the key of the certificate in {certificate}");
    refused(&certificate, &other, &[&mismatch, "that the certificate was made for"]);
    refused(&key, &key, &[&format!("{key}: it holds no certificate")]);
    refused(&certificate, &certificate, &[&format!("{certificate}: it holds no private key")]);
    refused("/dev/zero", &key, &["/dev/zero: more than 64 MiB"]);
    refused(&certificate, "/dev/zero", &["/dev/zero: more than 64 MiB"]);
    refused("/nowhere", &key, &["cannot read /nowhere"]);
    let bad = folder.0.join("bad").display().to_string();
    for (kind, name) in [("CERTIFICATE", "certificate"), ("PRIVATE KEY", "key")] {
        write(bad.as_ref(), &format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n"), 0o600);
        let (certificate, key) = if name == "key" { (&certificate, &bad) } else { (&bad, &key) };
        refused(certificate, key, &[&format!("{bad}: ")]);
    }

    // The right ones serve a client that checks them.
    let program =
        Program::begin(&[&BOARD[..], &["--tls-cert", &certificate, "--tls-key", &key]].concat(), &[]);
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-verify_hostname", "localhost"])
        .args(["-CAfile", &certificate, "-connect", &program.address.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    client.stdin.as_mut().unwrap().write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let answer = client.wait_with_output().unwrap().stdout;
    assert!(String::from_utf8_lossy(&answer).ends_with("\r\n\r\nok\n"));
}
