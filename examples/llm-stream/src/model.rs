//! What stands for a language model: the same question has the same answer, in pieces of words.

/// The longest piece, in characters. Longer words come in several, as they do from a real one.
const PIECE: usize = 6;
/// How many sentences an answer has.
const SENTENCES: usize = 9;

const TEXT: [&str; 16] = [
    "A lighthouse says one thing, and says it the whole night.",
    "Its keeper never learns which of the ships have seen it, and lights it all the same.",
    "The lens that Augustin Fresnel built in 1822 carried the light of one oil lamp for 32 \
     kilometres.",
    "Every lighthouse has a rhythm of its own, so that a captain who counts the seconds knows \
     which coast this is.",
    "At Cordouan, in the mouth of the Gironde, a keeper's diary has an entry for each evening \
     since 1791.",
    "Where fog swallowed the beam, a bell took over, and later a horn that could be heard for \
     four miles.",
    "Whoever sails out of reach loses the light, not the knowledge of where it was.",
    "The word “pharos” comes from an island off Alexandria, where a tower stood for \
     sixteen centuries.",
    "On some rocks the lamp was lit by sunset alone: a bar of black metal grew warm by day, and \
     its cooling opened the gas.",
    "Mercury carried the heaviest lenses — four tonnes of glass that a child could turn with one \
     hand.",
    "A ship that comes back into the beam doesn't ask what it missed; it counts on.",
    "Robert Louis Stevenson's family built most of Scotland's lights, and he wrote that no one \
     thanks a tower for standing.",
    "Since 1998 the last of the British ones has had no keeper, and its lamp reports by radio \
     when it fails.",
    "An old rule says: never put out a light before its successor burns.",
    "From the gallery at Île Vierge, 82 metres up, the sea looks still in any weather.",
    "Most keepers wrote down everything, for a page that is missing can't be told from a night \
     without a light.",
];

/// The pieces of the answer to a question, blanks included: together they are the answer.
pub(crate) fn tokens(question: &str) -> impl Iterator<Item = String> + use<> {
    answer(question)
        .split_inclusive(' ')
        .flat_map(|word| {
            let chars: Vec<char> = word.chars().collect();
            let pieces = chars.chunks(PIECE).map(|piece| piece.iter().collect());
            pieces.collect::<Vec<String>>()
        })
        .collect::<Vec<_>>()
        .into_iter()
}

/// The whole answer: sentences in an order that the question decides.
pub(crate) fn answer(question: &str) -> String {
    // FNV-1a, which is the same everywhere and always.
    let hash = question
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let (first, step) = (
        hash as usize % TEXT.len(),
        (hash >> 32) as usize % 8 * 2 + 1,
    );
    // An odd step through 16 sentences meets none twice.
    let chosen = (0..SENTENCES).map(|n| TEXT[(first + n * step) % TEXT.len()]);
    chosen.collect::<Vec<_>>().join(" ")
}
