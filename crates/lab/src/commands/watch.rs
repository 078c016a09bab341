pub(crate) fn run(_: &crate::workspace::Workspace, _: Option<&str>) -> anyhow::Result<u8> {
    anyhow::bail!("soon")
}
