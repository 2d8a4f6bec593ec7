# The three programs, as pip installs them.  A formula is never built or installed as root and has no setuid file: the
# helper in it has no power, and locald-setup copies it to where it has.
class Locald < Formula
  include Language::Python::Virtualenv

  desc "Clean URLs for local development on the real ports 80 and 443"
  homepage "https://example.org/locald"
  url "https://example.org/locald-0.1.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "MIT"

  depends_on "pkgconf" => :build
  depends_on "cryptography"
  depends_on "libnghttp2"
  depends_on "python@3.13"

  # `brew update-python-resources locald` writes the resources of click, msgspec, psutil, uvloop and watchfiles here.

  def install
    ENV["LOCALD_NGHTTP2"] = "yes"
    # In a tap with the cask beside this: the helper is the cask's then, and not in here.
    # ENV["LOCALD_SHIM"] = "/Library/PrivilegedHelperTools/locald-shim"
    virtualenv_install_with_resources
    man8.install_symlink Dir[libexec/"share/man/man8/*.8"]
  end

  def caveats
    <<~EOS
      To have the ports 80 and 443, and HTTPS, once:
        sudo #{opt_bin}/locald-setup
      Before `brew uninstall locald`, which knows nothing of root's files:
        sudo #{opt_bin}/locald-setup --uninstall
    EOS
  end

  test do
    assert_match "locald #{version}", shell_output("#{bin}/locald --version")
    assert_match "would install", shell_output("#{bin}/locald-setup --dry-run")
  end
end
