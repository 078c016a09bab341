pub(crate) fn run(_: &crate::workspace::Workspace) -> anyhow::Result<u8> {
    anyhow::bail!("soon")
}
