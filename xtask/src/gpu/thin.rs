//! Machine code of other cards, zeroed in a copy of a CUDA library: nothing in it moves, and zeros compress to nothing.
//!
//! ```text
//!   fat binary:  0xBA55ED50, version 1, header 16, length  [ entry ]*
//!   entry:       kind (1 PTX, 2 machine code), .., header length, payload length, .., capability at byte 28, .., payload
//! ```
//! The layout is not documented by NVIDIA; it is that which `cuobjdump` shows. A binary without code for the wanted card is
//! left alone, as is everything that does not look like this.

/// Start of a fat binary: magic, version 1, header of 16 bytes.
const MAGIC: [u8; 8] = [0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0];
const HEADER: usize = 16;
const MACHINE_CODE: u16 = 2;
/// Longest header of an entry that is believed.
const LONGEST: usize = 4096;

/// One program in a fat binary.
struct Entry {
    kind: u16,
    capability: u32,
    payload: std::ops::Range<usize>,
}

/// Zeros what `library` holds for other cards than those of compute capability `wanted` (90 for sm_90); the bytes zeroed.
pub(super) fn thin(library: &mut [u8], wanted: u32) -> usize {
    let (mut at, mut zeroed) = (0, 0);
    while let Some(start) = find(library, at) {
        let end = entries_end(library, start).unwrap_or(start + MAGIC.len());
        let entries = entries(library, start + HEADER, end);
        let is_wanted = |entry: &Entry| entry.kind == MACHINE_CODE && entry.capability == wanted;
        if entries.iter().any(is_wanted) {
            for entry in entries.into_iter().filter(|entry| !is_wanted(entry)) {
                zeroed += entry.payload.len();
                library[entry.payload].fill(0);
            }
        }
        at = end;
    }
    zeroed
}

fn find(library: &[u8], from: usize) -> Option<usize> {
    library.get(from..)?.windows(MAGIC.len()).position(|window| window == MAGIC).map(|at| from + at)
}

/// Where the fat binary at `start` ends, if it lies within the file.
fn entries_end(library: &[u8], start: usize) -> Option<usize> {
    let length = usize::try_from(u64::from_le_bytes(bytes(library, start + 8)?)).ok()?;
    start.checked_add(HEADER)?.checked_add(length).filter(|end| *end <= library.len())
}

fn entries(library: &[u8], mut at: usize, end: usize) -> Vec<Entry> {
    let mut found = Vec::new();
    while let Some((entry, next)) = entry(library, at).filter(|(_, next)| *next <= end) {
        found.push(entry);
        at = next;
    }
    found
}

/// The entry at `at`, and where the next one is.
fn entry(library: &[u8], at: usize) -> Option<(Entry, usize)> {
    let header = u32::from_le_bytes(bytes(library, at + 4)?) as usize;
    let length = usize::try_from(u64::from_le_bytes(bytes(library, at + 8)?)).ok()?;
    let start = at.checked_add(header).filter(|_| (32..=LONGEST).contains(&header))?;
    let payload = start..start.checked_add(length)?;
    let (kind, capability) = (u16::from_le_bytes(bytes(library, at)?), u32::from_le_bytes(bytes(library, at + 28)?));
    let next = payload.end;
    Some((Entry { kind, capability, payload }, next))
}

fn bytes<const N: usize>(library: &[u8], at: usize) -> Option<[u8; N]> {
    library.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fat(entries: &[(u16, u32, &[u8])]) -> Vec<u8> {
        let body: Vec<u8> = entries
            .iter()
            .flat_map(|(kind, capability, payload)| {
                let mut header = vec![0; 64];
                header[..2].copy_from_slice(&kind.to_le_bytes());
                header[4..8].copy_from_slice(&64_u32.to_le_bytes());
                header[8..16].copy_from_slice(&(payload.len() as u64).to_le_bytes());
                header[28..32].copy_from_slice(&capability.to_le_bytes());
                [header, payload.to_vec()].concat()
            })
            .collect();
        [&MAGIC[..], &(body.len() as u64).to_le_bytes(), &body].concat()
    }

    #[test]
    fn only_the_code_of_other_cards_is_zeroed_and_nothing_moves() {
        let wanted = fat(&[(2, 80, b"eighty"), (2, 90, b"ninety"), (1, 90, b"ptx")]);
        let other = fat(&[(2, 80, b"alone")]);
        let mut library = [b"elf".to_vec(), wanted, b"between".to_vec(), other.clone()].concat();
        let before = library.clone();
        assert_eq!(thin(&mut library, 90), "eighty".len() + "ptx".len());
        assert_eq!(library.len(), before.len());
        let text = String::from_utf8_lossy(&library);
        assert!(text.contains("ninety") && !text.contains("eighty") && !text.contains("ptx"));
        assert!(library.ends_with(&other), "a binary without the wanted code stays whole");
    }

    #[test]
    fn a_length_beyond_the_file_is_not_believed() {
        let mut broken = fat(&[(2, 90, b"code"), (2, 80, b"more")]);
        broken[8] = 0xff;
        let before = broken.clone();
        assert_eq!(thin(&mut broken, 90), 0);
        assert_eq!(broken, before);
    }
}
