//! A plugin as one file that needs no other: a rule pack or a script with the engine that runs it, its cases, and what people want to
//! know. What is added stands behind the engine's own bytes, in custom sections, so that a host that has the engine knows it again.

use super::WorkshopError;
use super::cases::Cases;
use crate::config::{Grants, Read};
use crate::plugin::{CASES_SECTION, Kind, Loader, Metadata, Packed, Packing};
use std::path::Path;
use wasm_encoder::{ComponentNameSection, ComponentSection, CustomSection};

/// The bytes of the packed plugin.
///
/// # Errors
/// The file is refused, is a component already, or what is said about it is malformed.
pub fn pack(
    loader: &Loader,
    file: &Path,
    cases: Option<&Path>,
    licence: Option<&str>,
    source: Option<&str>,
) -> Result<Vec<u8>, WorkshopError> {
    let packing = loader.packing(file)?;
    if packing.kind == Kind::Component || packing.packed != Packed::No {
        let what = format!("{}: is one file already", file.display());
        return Err(WorkshopError::new(what, "give it to others as it is; `tracejury plugin pack` is for rule packs and scripts"));
    }
    let profile = packing.profile.clone();
    let about = Metadata {
        name: Some(profile.name),
        version: Some(profile.version),
        description: Some(profile.summary).filter(|summary| !summary.is_empty()),
        licenses: licence.map(str::to_owned).or(profile.metadata.licenses),
        source: source.map(str::to_owned).or(profile.metadata.source),
    };
    let cases = cases.map(Cases::read).transpose()?;
    let reads = Read::among(&profile.reads);
    let Packing { mut bytes, section, text, .. } = packing;
    append(&mut bytes, section, text.as_bytes());
    if let Some(cases) = cases {
        carry(&mut bytes, &cases, &reads);
    }
    describe(&mut bytes, &about)?;
    Ok(bytes)
}

/// Adds cases to a component, with so much of their traces as it asks to see.
pub fn carry(bytes: &mut Vec<u8>, cases: &Cases, reads: &Grants) {
    append(bytes, CASES_SECTION, cases.to_carry(reads).as_bytes());
}

/// Adds what people want to know to a component.
///
/// # Errors
/// What is said is malformed.
pub fn describe(bytes: &mut Vec<u8>, about: &Metadata) -> Result<(), WorkshopError> {
    use wasm_metadata::{Description, Licenses, Source, Version};
    let wrong = |what: &str, text: &str, help: &str| WorkshopError::new(format!("{what}: {text:?} is malformed"), help);
    if let Some(name) = &about.name {
        // Where there is a name already, that of the engine, tools take the one that stands last.
        let mut section = ComponentNameSection::new();
        section.component(name);
        section.append_to_component(bytes);
    }
    if let Some(text) = &about.version {
        Version::new(text.clone()).append_to_component(bytes);
    }
    if let Some(text) = &about.description {
        Description::new(text.clone()).append_to_component(bytes);
    }
    if let Some(text) = &about.licenses {
        let licenses =
            Licenses::new(text).map_err(|_| wrong("licence", text, "write an SPDX expression, such as Apache-2.0 or MIT OR Apache-2.0"))?;
        licenses.append_to_component(bytes);
    }
    if let Some(text) = &about.source {
        let source = Source::new(text).map_err(|_| wrong("source", text, "write a URL, such as https://example.com/classifier"))?;
        source.append_to_component(bytes);
    }
    Ok(())
}

fn append(bytes: &mut Vec<u8>, name: &str, data: &[u8]) {
    CustomSection { name: name.into(), data: data.into() }.append_to_component(bytes);
}
