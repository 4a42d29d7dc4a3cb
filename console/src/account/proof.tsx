/** The fields by which somebody shows once more who they are. */
import { Field } from "../ui/small";

export function PasswordField({
  label = "Your password",
  value,
  onChange,
}: {
  label?: string;
  value: string;
  onChange: (value: string) => void;
}) {
  return (
    <Field label={label}>
      <input
        type="password"
        autoComplete="current-password"
        required
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
    </Field>
  );
}

export function CodeField({
  value,
  onChange,
  recovery = false,
}: {
  value: string;
  onChange: (value: string) => void;
  recovery?: boolean;
}) {
  return (
    <Field
      label={recovery ? "Code of your authenticator app, or a recovery code" : "Code of your authenticator app"}
      hint={recovery ? "A recovery code is good once." : undefined}
    >
      <input
        className="code-input"
        type="text"
        inputMode={recovery ? "text" : "numeric"}
        autoComplete="one-time-code"
        required
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
    </Field>
  );
}
