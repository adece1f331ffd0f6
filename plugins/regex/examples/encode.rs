//! Turns a core module built from this crate into a component: `encode MODULE COMPONENT`. Unlike the wasip2 targets this adds
//! no adapter, so no WASI import can creep in.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(module), Some(component)) = (args.next(), args.next()) else { return Err("usage: encode MODULE COMPONENT".into()) };
    let module = std::fs::read(module)?;
    let bytes = wit_component::ComponentEncoder::default().module(&module)?.validate(true).encode()?;
    std::fs::write(component, bytes)?;
    Ok(())
}
