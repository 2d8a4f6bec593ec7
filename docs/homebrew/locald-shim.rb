# The helper alone, for a tap: a package of Apple's installer, which runs as root and keeps the setuid bit.
cask "locald-shim" do
  version "0.1.0"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"

  url "https://example.org/locald-shim-#{version}.pkg"
  name "locald-shim"
  desc "Setuid helper that binds a low port and gives it away"
  homepage "https://example.org/locald"

  pkg "locald-shim-#{version}.pkg"

  uninstall pkgutil: "org.example.locald-shim"

  # The policy, which locald-setup writes.
  zap delete: "/private/etc/locald"
end
