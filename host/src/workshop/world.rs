//! How the world of a component differs from the one that a classifier is of, function by function and field by field. It reads types
//! from the component itself; nothing of it runs.

use wasmparser::Parser;
use wit_component::DecodedWasm;
use wit_parser::{Function, Resolve, Type, TypeDef, TypeDefKind, WorldId, WorldItem, WorldKey};

/// The contract, in its newest version.
pub(super) const WIT: &str = include_str!("../../../wit/classifier.wit");
/// The released versions of the contract, the newest first.
const RELEASED: [(&str, &str); 1] = [("0.1.0", WIT)];

/// What a component would have to change to be a classifier, by the version of the contract that comes nearest; empty where it is one.
///
/// # Errors
/// It is no component that can be read.
pub(super) fn differences(bytes: &[u8]) -> Result<(String, Vec<String>), String> {
    if !Parser::is_component(bytes) {
        return Err("it is no component".to_owned());
    }
    let decoded = wit_component::decode(bytes).map_err(|e| format!("{e:#}").lines().next().unwrap_or_default().to_owned())?;
    let DecodedWasm::Component(actual, world) = decoded else { return Err("it is a package of types, not a component".to_owned()) };
    let compared = RELEASED.iter().filter_map(|(version, text)| Some((*version, against(&actual, world, text)?)));
    let (version, mut found) = compared.min_by_key(|(_, found)| found.len()).ok_or("the contract cannot be read")?;
    found.extend(other_version(&actual, world));
    Ok((version.to_owned(), found))
}

/// A version of the contract that the component was built for and that this program does not know.
fn other_version(actual: &Resolve, world: WorldId) -> Option<String> {
    let names = actual.worlds.get(world)?.imports.keys().map(|key| actual.name_world_key(key));
    let mut versions = names.filter_map(|name| Some(name.strip_prefix("tracejury:classifier/")?.split_once('@')?.1.to_owned()));
    let built = versions.find(|version| !RELEASED.iter().any(|(known, _)| known == version))?;
    let known = RELEASED.map(|(version, _)| version).join(", ");
    Some(format!(
        "it is built for tracejury:classifier@{built}; this tracejury knows {known}: build it against that, or use a newer tracejury"
    ))
}

fn against(actual: &Resolve, world: WorldId, contract: &str) -> Option<Vec<String>> {
    let mut expected = Resolve::default();
    let package = expected.push_str("classifier.wit", contract).ok()?;
    let wanted = expected.select_world(&[package], Some("classifier")).ok()?;
    let mut found = Vec::new();
    let actual_world = actual.worlds.get(world)?;
    for (key, item) in &expected.worlds.get(wanted)?.exports {
        let WorldItem::Function(function) = item else { continue };
        let name = expected.name_world_key(key);
        match actual_world.exports.get(&WorldKey::Name(name.clone())) {
            Some(WorldItem::Function(own)) => functions(&name, (&expected, function), (actual, own), &mut found),
            Some(_) => found.push(format!("{name}: is exported, but is no function")),
            None => found.push(format!("{name}: is not exported")),
        }
    }
    let wanted_imports: Vec<_> = expected.worlds.get(wanted)?.imports.keys().map(|key| expected.name_world_key(key)).collect();
    for name in actual_world.imports.keys().map(|key| actual.name_world_key(key)) {
        // Another version of the contract is told of by itself.
        if !wanted_imports.contains(&name) && !name.starts_with("tracejury:classifier/") {
            found.push(format!("{name}: is imported; a classifier gets nothing but tracejury:classifier/host"));
        }
    }
    Some(found)
}

type In<'a, T> = (&'a Resolve, &'a T);

fn functions(name: &str, expected: In<'_, Function>, actual: In<'_, Function>, found: &mut Vec<String>) {
    let (wanted, got) = (&expected.1.params, &actual.1.params);
    if wanted.len() != got.len() {
        found.push(format!("{name}: takes {} parameters, not {}", got.len(), wanted.len()));
    }
    for (wanted, got) in wanted.iter().zip(got) {
        types(&format!("{name}({})", wanted.name), (expected.0, &wanted.ty), (actual.0, &got.ty), found);
    }
    match (&expected.1.result, &actual.1.result) {
        (Some(wanted), Some(got)) => types(&format!("{name} →"), (expected.0, wanted), (actual.0, got), found),
        (None, None) => {}
        (Some(wanted), None) => found.push(format!("{name}: returns nothing, not {}", shown(expected.0, wanted))),
        (None, Some(got)) => found.push(format!("{name}: returns {}, not nothing", shown(actual.0, got))),
    }
}

fn types(at: &str, expected: In<'_, Type>, actual: In<'_, Type>, found: &mut Vec<String>) {
    let (wanted, got) = (definition(expected.0, expected.1), definition(actual.0, actual.1));
    match (wanted.map(|ty| &ty.kind), got.map(|ty| &ty.kind)) {
        (Some(TypeDefKind::Record(wanted)), Some(TypeDefKind::Record(got))) => {
            // Where the fields that both have stand among each other: one that is missing moves none of the rest.
            let common: Vec<_> = got.fields.iter().filter(|own| wanted.fields.iter().any(|field| field.name == own.name)).collect();
            let mut place = 0;
            for field in &wanted.fields {
                let Some(own) = common.iter().position(|own| own.name == field.name) else {
                    found.push(format!("{at}.{}: is missing; it is {}", field.name, shown(expected.0, &field.ty)));
                    continue;
                };
                if own != place {
                    found.push(format!("{at}.{}: does not stand where the contract has it; the order of fields counts", field.name));
                }
                place += 1;
                let own = common.get(own).map_or(&field.ty, |own| &own.ty);
                types(&format!("{at}.{}", field.name), (expected.0, &field.ty), (actual.0, own), found);
            }
            for own in got.fields.iter().filter(|own| !wanted.fields.iter().any(|field| field.name == own.name)) {
                found.push(format!("{at}.{}: is not in the contract; what is added belongs into `attributes`", own.name));
            }
        }
        (Some(TypeDefKind::List(wanted)), Some(TypeDefKind::List(got))) => {
            types(&format!("{at}[]"), (expected.0, wanted), (actual.0, got), found)
        }
        (Some(TypeDefKind::Option(wanted)), Some(TypeDefKind::Option(got))) => types(at, (expected.0, wanted), (actual.0, got), found),
        (Some(TypeDefKind::Result(wanted)), Some(TypeDefKind::Result(got))) => {
            for (part, wanted, got) in [("ok", &wanted.ok, &got.ok), ("err", &wanted.err, &got.err)] {
                match (wanted, got) {
                    (Some(wanted), Some(got)) => types(&format!("{at} {part}"), (expected.0, wanted), (actual.0, got), found),
                    (None, None) => {}
                    (wanted, _) => {
                        let wanted = wanted.as_ref().map_or("nothing".to_owned(), |wanted| shown(expected.0, wanted));
                        found.push(format!("{at} {part}: is not {wanted}"));
                    }
                }
            }
        }
        _ => {
            let (wanted, got) = (shown(expected.0, expected.1), shown(actual.0, actual.1));
            if wanted != got {
                found.push(format!("{at}: is {got}, not {wanted}"));
            }
        }
    }
}

/// What a type is, behind its other names.
fn definition<'a>(resolve: &'a Resolve, ty: &Type) -> Option<&'a TypeDef> {
    let Type::Id(id) = ty else { return None };
    let found = resolve.types.get(*id)?;
    match &found.kind {
        TypeDefKind::Type(inner @ Type::Id(_)) => definition(resolve, inner),
        _ => Some(found),
    }
}

/// A type as WIT writes it, its names spelt out.
fn shown(resolve: &Resolve, ty: &Type) -> String {
    let inner = |ty: &Type| shown(resolve, ty);
    let maybe = |ty: &Option<Type>| ty.as_ref().map_or("_".to_owned(), inner);
    match definition(resolve, ty).map(|ty| (&ty.kind, &ty.name)) {
        None => simple(ty).to_owned(),
        Some((TypeDefKind::List(of), _)) => format!("list<{}>", inner(of)),
        Some((TypeDefKind::Option(of), _)) => format!("option<{}>", inner(of)),
        Some((TypeDefKind::Tuple(of), _)) => format!("tuple<{}>", of.types.iter().map(inner).collect::<Vec<_>>().join(", ")),
        Some((TypeDefKind::Result(of), _)) => format!("result<{}, {}>", maybe(&of.ok), maybe(&of.err)),
        Some((TypeDefKind::Enum(of), _)) => {
            format!("enum {{ {} }}", of.cases.iter().map(|case| case.name.as_str()).collect::<Vec<_>>().join(", "))
        }
        Some((TypeDefKind::Type(of), _)) => simple(of).to_owned(),
        Some((_, name)) => name.clone().unwrap_or_else(|| "a type of its own".to_owned()),
    }
}

fn simple(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        _ => "a type of its own",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
    use wit_parser::{LiftLowerAbi, ManglingAndAbi};

    /// A component of the contract with something changed.
    fn changed(from: &str, to: &str) -> Vec<String> {
        let text = RELEASED[0].1.replace(from, to);
        assert!(from.is_empty() || text != RELEASED[0].1, "{from}");
        let mut resolve = Resolve::default();
        let package = resolve.push_str("c.wit", &text).unwrap();
        let world = resolve.select_world(&[package], Some("classifier")).unwrap();
        let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        let component = ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap();
        differences(&component).unwrap().1
    }

    #[test]
    fn a_classifier_differs_in_nothing() {
        assert_eq!(changed("", ""), [""; 0]);
    }

    #[test]
    fn each_difference_is_told_with_its_place() {
        assert_eq!(
            changed("message: string,\n        /// The stack", "message: list<u8>,\n        /// The stack"),
            ["classify(trace).error.message: is list<u8>, not string", "classify(trace).steps[].error.message: is list<u8>, not string"]
        );
        assert_eq!(changed("confidence: f64", "confidence: f32"), ["classify → ok[].confidence: is f32, not f64"]);
        assert_eq!(changed("        action-id: string,\n", ""), ["classify(trace).action-id: is missing; it is string"]);
        assert_eq!(
            changed("        version: string,\n", "        version: string,\n        homepage: string,\n"),
            ["describe →.homepage: is not in the contract; what is added belongs into `attributes`"]
        );
        assert_eq!(changed("export configure: func(settings: string) -> result<_, string>;", ""), ["configure: is not exported"]);
        assert_eq!(
            changed("configure: func(settings: string) -> result<_, string>", "configure: func()"),
            ["configure: takes 0 parameters, not 1", "configure: returns nothing, not result<_, string>"]
        );
        assert_eq!(
            changed("classifier@0.1.0", "classifier@0.9.0"),
            ["it is built for tracejury:classifier@0.9.0; this tracejury knows 0.1.0: build it against that, or use a newer tracejury"]
        );
    }

    #[test]
    fn what_is_no_component_is_an_error() {
        for bytes in [b"".as_slice(), b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0 nonsense"] {
            assert!(differences(bytes).is_err());
        }
    }
}
