//! rust-collections [ROUNDS]: proves that a program of another compiler and another standard
//! library comes back: trait objects, closures, collections, reference counts, formatting.
//!
//! A small document of boxed elements is built, changed and written out; a map from the text back
//! to the values says what each round must give. Prints and fails like the C guests do.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write;
use std::rc::Rc;

trait Element {
    fn write(&self, out: &mut String);
    fn weight(&self) -> u64;
}

struct Text(String);
struct Number(f64);
struct Group(Vec<Rc<RefCell<dyn Element>>>);

impl Element for Text {
    fn write(&self, out: &mut String) {
        write!(out, "{:?}", self.0).unwrap();
    }
    fn weight(&self) -> u64 {
        self.0.bytes().map(u64::from).sum()
    }
}

impl Element for Number {
    fn write(&self, out: &mut String) {
        write!(out, "{}", self.0).unwrap();
    }
    fn weight(&self) -> u64 {
        self.0.to_bits() >> 40
    }
}

impl Element for Group {
    fn write(&self, out: &mut String) {
        out.push('[');
        for (at, element) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(' ');
            }
            element.borrow().write(out);
        }
        out.push(']');
    }
    fn weight(&self) -> u64 {
        self.0.iter().map(|element| element.borrow().weight()).sum()
    }
}

/// The same sequence as `next` in self-check.h.
fn next(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) {
    if got != want {
        println!("differs: {}: got {:?}, want {:?}", what, got, want);
        std::process::exit(1);
    }
}

/// Builds a tree of `depth` levels, and the text and weight it must have.
fn build(state: &mut u64, depth: u32) -> (Rc<RefCell<dyn Element>>, String, u64) {
    let pick = next(state);
    if depth == 0 || pick % 5 == 0 {
        if pick & 64 == 0 {
            let text = format!("word-{}", pick % 1000);
            let (want, weight) = (format!("\"{}\"", text), text.bytes().map(u64::from).sum());
            return (Rc::new(RefCell::new(Text(text))), want, weight);
        }
        let number = (pick % 100_000) as f64 / 64.0;
        return (Rc::new(RefCell::new(Number(number))), number.to_string(), number.to_bits() >> 40);
    }
    let parts: Vec<_> = (0..pick % 4 + 1).map(|_| build(state, depth - 1)).collect();
    let want = parts.iter().map(|part| part.1.as_str()).collect::<Vec<_>>().join(" ");
    let weight = parts.iter().map(|part| part.2).sum();
    let children = parts.into_iter().map(|part| part.0).collect();
    (Rc::new(RefCell::new(Group(children))), format!("[{}]", want), weight)
}

fn main() {
    let rounds = std::env::args().nth(1).map_or(150, |rounds| rounds.parse().expect("a number"));
    let mut state = 2026;
    let mut sorted: BTreeMap<String, u64> = BTreeMap::new();
    let mut hashed: HashMap<String, u64> = HashMap::new();
    let mut recent: VecDeque<Rc<RefCell<dyn Element>>> = VecDeque::new();
    for round in 0..rounds {
        let (tree, want, weight) = build(&mut state, 7);
        let mut text = String::new();
        tree.borrow().write(&mut text);
        same("text of the tree", &text, &want);
        same("weight of the tree", tree.borrow().weight(), weight);
        sorted.insert(text.clone(), weight);
        hashed.insert(text, weight);
        recent.push_back(Rc::clone(&tree));
        if recent.len() > 8 {
            let oldest = recent.pop_front().expect("eight trees");
            same("owners of the oldest tree", Rc::strong_count(&oldest), 1);
        }
        same("owners of the newest tree", Rc::strong_count(&tree), 2);
        if round % 10 == 0 {
            println!("round {}: {} bytes, weight {}", round, want.len(), weight);
        }
    }
    same("trees in both maps", sorted.len(), hashed.len());
    for (text, weight) in &sorted {
        same("weight in the other map", hashed.get(text), Some(weight));
    }
    let total: u64 = sorted.values().sum();
    println!("{} different trees, total weight {}", sorted.len(), total);
    println!("ok rust-collections");
}
