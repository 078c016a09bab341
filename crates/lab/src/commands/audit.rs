pub(crate) fn run(_: &crate::workspace::Workspace, _: &crate::cli::Audit) -> anyhow::Result<u8> {
    anyhow::bail!("soon")
}
