//! The classifier run natively, for `tracejury plugin bench {{name}}.wasm --native .`

fn main() -> std::io::Result<()> {
    tracejury_classifier::native::serve::<{{crate}}::Ours>(std::io::stdin().lock(), std::io::stdout().lock())
}
