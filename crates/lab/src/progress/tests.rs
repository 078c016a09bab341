//! What the file must keep: figures come back as they were written, and not one byte of the
//! learner's text is lost, whatever happens to the file between two commands.

use std::path::PathBuf;

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::{
    Aim, Id, Progress, Record, Status,
    document::{Document, Segment},
    form, read,
};
use crate::workspace::{Topic, Workspace};

const ROUNDS: u64 = 300;

fn workspace() -> Workspace {
    let topic = |text: &str| -> Topic { toml::from_str(text).unwrap() };
    let head = "phase = 'Core | one'\npriority = 'high'\ncomplexity = 2\ntime = '1 week'\nstatus = 'ready'\nwhy = 'w'\nbuild = 'b'\nconcepts = ['c']\n";
    let lesson = |id: &str, name: &str, status: &str| {
        format!(
            "[[lesson]]\nid = '{id}'\nname = '{name}'\ntitle = 'T'\nstatus = '{status}'\nproves = 'p | q'\n"
        )
    };
    let one = format!("id = '01'\nname = 'caching'\ntitle = 'Caching'\n{head}")
        + &lesson("01.2", "cache_aside", "ready")
        + &lesson("01.10", "live_updates", "ready")
        + &lesson("01.11", "durability", "planned");
    let two = format!("id = '02'\nname = 'locks'\ntitle = 'Locks'\n{head}")
        + &lesson("02.1", "oversell", "planned");
    // No such folder: no file is found, so every kept fingerprint counts as changed.
    Workspace {
        root: PathBuf::from("/nonexistent-sandbox"),
        topics: vec![topic(&one), topic(&two)],
    }
}

/// Letters that have broken parsers before: bars, backslashes, comments, accents.
fn word(random: &mut StdRng) -> String {
    let pool: Vec<char> = "abcXYZ019|\\é–→ _*`#".chars().collect();
    let text: String =
        (0..random.random_range(1..12)).map(|_| *pool.choose(random).unwrap()).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn record(random: &mut StdRng) -> Record {
    let maybe = |random: &mut StdRng, text: &str| {
        if random.random() { text.to_owned() } else { String::new() }
    };
    let status = *[Status::Pending, Status::InProgress, Status::Completed, Status::Stale]
        .choose(random)
        .unwrap();
    let seen = (0..random.random_range(0..3)).map(|n| format!("decoy_{n}")).collect();
    let mut record = Record {
        name: format!("lesson_{}", random.random_range(0..9)),
        status,
        date: maybe(random, "2026-11-21"),
        passed: random
            .random::<bool>()
            .then(|| (random.random_range(0..9), random.random_range(0..9))),
        attempts: random.random_range(1..99),
        hints: random.random_range(0..4),
        peeked: maybe(random, "2026-11-20"),
        figures: maybe(random, "7 checks in 1.9 s"),
        file: maybe(random, "0a1b2c3d"),
        checks: maybe(random, "ffffffff"),
        starter: maybe(random, "12345678"),
        seen,
        other: if random.random() { vec!["later:mark".to_owned()] } else { Vec::new() },
    };
    if record.is_done() && !record.is_earned() {
        record.passed = Some((7, 7));
        "0a1b2c3d".clone_into(&mut record.file);
    }
    record
}

fn progress(random: &mut StdRng) -> Progress {
    let mut progress = Progress { started: "2026-11-01".to_owned(), ..Progress::default() };
    let ids = ["01.2", "01.10", "01.11", "02.1", "77.3", "P.2"];
    for id in ids {
        if random.random() {
            continue;
        }
        progress.records.insert(Id((*id).to_owned()), record(random));
    }
    if random.random() {
        progress.current = ids.choose(random).map(|id| Id((*id).to_owned()));
    }
    if random.random() {
        progress.last =
            Some(("2026-11-21 10:56".to_owned(), "checked cache_aside: 3 of 7".to_owned()));
    }
    for phase in ["Core | one", "A later phase"] {
        if random.random() {
            continue;
        }
        let aim =
            Aim { initial: random.random_range(0..=100), target: random.random_range(0..=100) };
        progress.aims.insert((*phase).to_owned(), aim);
    }
    progress
}

/// Text as a learner, a merge or a broken disk leaves it; not UTF-8 now and then.
fn text(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.random_range(0..6) {
        match random.random_range(0..8) {
            0 => bytes.extend(b"## Session notes\n"),
            1 => bytes.extend(b"| a | table | of mine |\r\n"),
            2 => bytes.extend(b"<!-- my comment -->\n"),
            3 => bytes.extend([0xff, 0xfe, b'\n']),
            4 => bytes.extend(b"\n\n"),
            5 => bytes.extend(b"```\n## not a heading\n```\n"),
            _ => bytes.extend(format!("{}\n", word(random)).bytes()),
        }
    }
    bytes
}

fn rendered(progress: &Progress, workspace: &Workspace) -> Document {
    let mut document = form::fresh();
    form::fill(&mut document, workspace, progress);
    document
}

/// As it reads once written: names follow the workspace, and each phase has an aim.
fn settled(mut progress: Progress, workspace: &Workspace) -> Progress {
    progress.refresh(workspace);
    for phase in workspace.phases() {
        progress.aims.entry(phase.to_owned()).or_default();
    }
    progress
}

#[test]
fn what_is_written_is_read_back() {
    let workspace = workspace();
    for seed in 0..ROUNDS {
        let random = &mut StdRng::seed_from_u64(seed);
        let progress = settled(progress(random), &workspace);
        let bytes = rendered(&progress, &workspace).bytes();
        let reading = read::read(&bytes);
        assert_eq!(reading.damage, [], "seed {seed}");
        assert!(!reading.edited, "seed {seed}");
        assert_eq!(reading.progress, progress, "seed {seed}");
        let mut again = reading.document;
        form::fill(&mut again, &workspace, &reading.progress);
        assert_eq!(again.bytes(), bytes, "seed {seed}");
    }
}

#[test]
fn the_learners_text_is_kept_byte_for_byte() {
    let workspace = workspace();
    for seed in 0..ROUNDS {
        let random = &mut StdRng::seed_from_u64(seed);
        let mut document = rendered(&progress(random), &workspace);
        for segment in &mut document.segments {
            if let Segment::Text(mine) = segment {
                *mine = text(random);
            }
        }
        let bytes = document.bytes();
        let mut reading = read::read(&bytes);
        assert_eq!(reading.document.text(), document.text(), "seed {seed}");
        form::fill(&mut reading.document, &workspace, &progress(random));
        assert_eq!(reading.document.text(), document.text(), "seed {seed}");
    }
}

/// Lines struck out, cut short, doubled or filled with rubbish: the lab goes on, what it writes
/// next is whole again, and every line that can only be the learner's is still there.
#[test]
fn a_damaged_file_is_repaired_and_no_text_is_lost() {
    let workspace = workspace();
    for seed in 0..ROUNDS {
        let random = &mut StdRng::seed_from_u64(seed);
        let bytes = rendered(&progress(random), &workspace).bytes();
        let mut lines: Vec<Vec<u8>> =
            bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..lines.len());
            match random.random_range(0..4) {
                0 => drop(lines.remove(at)),
                1 => lines[at].truncate(3),
                2 => lines.insert(at, lines[at].clone()),
                _ => lines[at].fill(random.next_u32() as u8),
            }
        }
        let at = random.random_range(0..lines.len());
        lines.insert(at, b"\nMy own sentence.\n".to_vec());
        let damaged = lines.concat();
        let mut reading = read::read(&damaged);
        form::fill(&mut reading.document, &workspace, &reading.progress);
        let repaired = reading.document.bytes();
        let kept = repaired.windows(16).any(|window| window == b"My own sentence.");
        assert!(kept, "seed {seed}:\n{}", String::from_utf8_lossy(&damaged));
        let again = read::read(&repaired);
        assert_eq!((again.damage, again.edited), (Vec::new(), false), "seed {seed}");
    }
}

#[test]
fn damage_is_named_by_its_line() {
    let workspace = workspace();
    let mut progress = Progress::default();
    progress.records.insert(Id("01.2".to_owned()), Record { attempts: 3, ..Record::default() });
    let text = String::from_utf8(rendered(&progress, &workspace).bytes()).unwrap();
    let broken = text.replacen("| 3 ", "| three ", 1).replacen("<!-- lab:end skills -->\n", "", 1);
    let reading = read::read(broken.as_bytes());
    let line = |needle: &str| broken.lines().position(|line| line.contains(needle)).unwrap() + 1;
    let named: Vec<_> =
        reading.damage.iter().map(|damage| (damage.line, damage.what.as_str())).collect();
    assert_eq!(
        named,
        [
            (line("three"), "the attempts cannot be \"three\""),
            (
                line("lab:begin skills"),
                "the part skills has lost its end marker; text that may be yours is kept below it"
            ),
        ]
    );
    assert!(reading.edited);
}

#[test]
fn what_the_learner_wrote_inside_a_part_moves_below_it() {
    let workspace = workspace();
    let mut progress = Progress::default();
    progress.records.insert(Id("01.2".to_owned()), Record { attempts: 3, ..Record::default() });
    let text = String::from_utf8(rendered(&progress, &workspace).bytes()).unwrap();
    let mine = "- [ ] read the paper on leases\n";
    let edited = text
        .replace("<!-- lab:end goals -->", &format!("{mine}<!-- lab:end goals -->"))
        .replace("## Lessons\n", "## Lessons\nmy remark\n")
        .replace("| 3 ", "| three ");
    let mut reading = read::read(edited.as_bytes());
    let row = edited.lines().position(|line| line.contains("| three ")).unwrap() + 1;
    assert!(reading.damage.iter().any(|damage| damage.line == row), "{:?}", reading.damage);
    form::fill(&mut reading.document, &workspace, &reading.progress);
    let repaired = String::from_utf8(reading.document.bytes()).unwrap();
    assert!(repaired.contains(&format!("<!-- lab:end goals -->\n{mine}")), "{repaired}");
    assert!(repaired.contains("<!-- lab:end lessons -->\nmy remark\n"), "{repaired}");
}

#[test]
fn a_part_of_a_newer_version_is_carried_along() {
    let workspace = workspace();
    let newer = "<!-- lab:begin badges -->\nwhatever it may say\n<!-- lab:end badges -->\n";
    let mut document = rendered(&Progress::default(), &workspace);
    document.segments.push(Segment::Text(b"\n".to_vec()));
    let bytes = [document.bytes(), newer.as_bytes().to_vec()].concat();
    let mut reading = read::read(&bytes);
    assert_eq!(reading.damage, []);
    form::fill(&mut reading.document, &workspace, &reading.progress);
    assert!(reading.document.bytes().ends_with(newer.as_bytes()));
}

#[test]
fn an_edit_by_hand_is_noticed_and_counts() {
    let workspace = workspace();
    let text = String::from_utf8(rendered(&Progress::default(), &workspace).bytes()).unwrap();
    let edited = text.replacen("100 %", "80 %", 1);
    let reading = read::read(edited.as_bytes());
    assert!(reading.edited);
    assert_eq!(reading.damage, []);
    assert_eq!(reading.progress.aims["Core | one"].target, 80);
}

#[test]
fn a_file_without_the_labs_parts_is_all_the_learners() {
    for bytes in [&b""[..], b"my notes\nand more", b"\xff\xfe\x00"] {
        let mut reading = read::read(bytes);
        assert!(!reading.damage.is_empty());
        form::fill(&mut reading.document, &workspace(), &reading.progress);
        assert!(reading.document.bytes().ends_with(bytes));
    }
}

#[test]
fn a_note_goes_to_the_end_of_its_section() {
    let (mut document, _) = Document::parse(
        b"# Mine\n\n## Session notes\n\n- one\n\n```\n# no heading\n```\n\n## Wins\n",
    );
    document.append("Session notes", "- two");
    assert_eq!(
        String::from_utf8(document.bytes()).unwrap(),
        "# Mine\n\n## Session notes\n\n- one\n\n```\n# no heading\n```\n- two\n\n## Wins\n"
    );
    let (mut bare, _) = Document::parse(b"no end of line");
    bare.append("Session notes", "- first");
    assert_eq!(bare.bytes(), b"no end of line\n\n## Session notes\n\n- first\n");
    let mut fresh = form::fresh();
    fresh.append(form::NOTES, "- first");
    let text = String::from_utf8(fresh.bytes()).unwrap();
    assert!(text.contains("## Session notes\n\n- first\n\n## Questions\n"), "{text}");
}
